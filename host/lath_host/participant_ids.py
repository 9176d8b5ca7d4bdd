"""What an id stands for in the whole lattice: a component or a provider, and a component of certain bytes.

Of two under one id a call would reach either. This host sees who is present, so two hosts that start one at
the same moment may miss each other; `lath doctor` tells.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from lath.errors import Conflict
from lath.presence import PresenceView

Kind = Literal["component", "provider"]
_DIGEST_CHARS: Final = 12
"""Enough of a digest to tell it apart."""


class ParticipantIds:
    """The ids that are taken, as far as this host can see.

    Args:
        presence: Of the whole lattice.
        host_id: This host's.

    Attributes:
        here: By kind, the ids of this host, present already or not.
    """

    def __init__(self, presence: PresenceView, host_id: str) -> None:
        self.here: dict[Kind, Container[str]] = {}
        self._presence = presence
        self._host_id = host_id
        self._starting: set[tuple[Kind, str]] = set()

    @contextmanager
    def reserved(self, wanted: str, kind: Kind) -> Iterator[None]:
        """Keeps an id from the other kind on this host, while what has it starts; then it is `here`.

        Raises:
            Conflict: One of the other kind has it already.
        """
        self.check(wanted, kind)
        self._starting.add((kind, wanted))
        try:
            yield
        finally:
            self._starting.discard((kind, wanted))

    def check(self, wanted: str, kind: Kind) -> None:
        """Refuses an id that one of the other kind has.

        Raises:
            Conflict: It is taken; the message says where.
        """
        other: Kind = "provider" if kind == "component" else "component"
        if wanted in self.here.get(other, ()) or (other, wanted) in self._starting:
            raise Conflict(f"{wanted} is the id of a {other} on this host: choose another")
        for instance in self._presence.instances(wanted):
            if instance.kind == other:
                where = f"on host {instance.host_id}" if instance.host_id else "standing alone"
                raise Conflict(f"{wanted} is the id of a {other} {where}: choose another")

    def check_code(self, component_id: str, digest: str) -> None:
        """Refuses a component that runs on other hosts, and on none of them from the same bytes.

        Where hosts differ already, as while one after the other is updated, either bytes will do.

        Raises:
            Conflict: The message names one of these hosts, its digest, and the ways out.
        """
        elsewhere = {
            instance.digest: instance.host_id
            for instance in self._presence.instances(component_id)
            if instance.digest is not None and instance.host_id != self._host_id
        }
        if not elsewhere or digest in elsewhere:
            return
        other, where = next(iter(elsewhere.items()))
        raise Conflict(
            f"component {component_id} runs from other bytes on host {self._named(where)}: sha256 "
            f"{_short(other)}, these are {_short(digest)}; start the same, or choose another id, or replace "
            "it there ('lath update'), or set allow_update to have both for a while"
        )

    def _named(self, host_id: str) -> str:
        names = (host.name for host in self._presence.hosts() if host.target == host_id and host.name)
        return next((f"{name} ({host_id})" for name in names), host_id)


def _short(digest: str) -> str:
    return f"{digest[:_DIGEST_CHARS]}…"
