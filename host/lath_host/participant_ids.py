"""What an id stands for in the whole lattice: a component or a provider, and a component of certain bytes.

Of two under one id a call would reach either. This host sees who is present; of two hosts that start one at
the same moment, the one whose presence came second gives way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, Literal

from lath.errors import Conflict
from lath.presence import PresenceChange, PresenceView

Kind = Literal["component", "provider"]
_DIGEST_CHARS: Final = 12
"""Enough of a digest to tell it apart."""
ANNOUNCED_SECONDS_MAX: Final = 2.0
"""How long a start waits to see its own presence. On a slower bus it stays unknown who came first."""


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

    @asynccontextmanager
    async def first_of_its_code(
        self, component_id: str, instance_id: str, digest: str
    ) -> AsyncIterator[None]:
        """Around what announces an instance: it has to be there before any of other bytes.

        Everybody sees entries of presence in the same order, so of two instances exactly one finds the other.

        Raises:
            Conflict: As `check_code`, of what was announced before it.
        """
        seen: asyncio.Future[Conflict | None] = asyncio.get_running_loop().create_future()

        def changed(change: PresenceChange) -> None:
            if change.new is None or change.new.instance_id != instance_id or seen.done():
                return
            try:
                self.check_code(component_id, digest)
            except Conflict as conflict:
                seen.set_result(conflict)
            else:
                seen.set_result(None)

        forget = self._presence.on_change(changed)
        try:
            yield
            with suppress(TimeoutError):
                async with asyncio.timeout(ANNOUNCED_SECONDS_MAX):
                    conflict = await seen
                    if conflict is not None:
                        raise conflict
        finally:
            forget()
            seen.cancel()

    def _named(self, host_id: str) -> str:
        names = (host.name for host in self._presence.hosts() if host.target == host_id and host.name)
        return next((f"{name} ({host_id})" for name in names), host_id)


def _short(digest: str) -> str:
    return f"{digest[:_DIGEST_CHARS]}…"
