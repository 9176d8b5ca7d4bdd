"""Tells the lattice of link states, as events: hints, sent when they can be and dropped when they cannot."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Literal

from lath import subjects
from lath.bus import Bus
from lath.errors import LathError
from lath.model import HeldLink, LinkEvent

EVENTS_WAITING_MAX: Final = 20_000
"""Events that may wait to be sent: two states of each of 10,000 links. More are dropped."""


class LinkEvents:
    """Publishes one participant's link events, in order, from a task of its own."""

    def __init__(
        self, bus: Bus, participant: str, instance_id: str, *, kind: Literal["provider", "host"] = "provider"
    ) -> None:
        self._kind: Literal["provider", "host"] = kind
        self._bus = bus
        self._participant = participant
        self._instance_id = instance_id
        self._subject = subjects.link_event(bus.lattice, participant, instance_id)
        self._waiting: asyncio.Queue[LinkEvent] = asyncio.Queue(EVENTS_WAITING_MAX)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._send(), name="link events")

    def tell(self, link: HeldLink, deleted: bool) -> None:
        """Notes a state to be told."""
        if self._waiting.full():
            return
        self._waiting.put_nowait(
            LinkEvent(
                kind=self._kind,
                participant=self._participant,
                instance_id=self._instance_id,
                link=link,
                deleted=deleted,
                at_ms=int(time.time() * 1000),
            )
        )

    async def close(self) -> None:
        """Sends what waits, if it can, and ends."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        while not self._waiting.empty():
            await self._publish(self._waiting.get_nowait())

    async def _send(self) -> None:
        while True:
            await self._publish(await self._waiting.get())

    async def _publish(self, event: LinkEvent) -> None:
        try:
            await self._bus.publish(self._subject, event.model_dump_json(exclude_none=True).encode())
        except LathError:
            return  # a hint that could not be sent; who needs the truth pings
