"""The rule that a component and a provider share no id: a call to it would reach either."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Literal

from lath.errors import Conflict
from lath.presence import PresenceView

Kind = Literal["component", "provider"]


class ParticipantIds:
    """The ids that are taken, as far as this host can see.

    Args:
        presence: Of the whole lattice.

    Attributes:
        here: By kind, the ids of this host, present already or not.
    """

    def __init__(self, presence: PresenceView) -> None:
        self.here: dict[Kind, Container[str]] = {}
        self._presence = presence
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
