"""Waits for the event that tells how a control request ended: acks only mean that it was accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Final

from nats.aio.msg import Msg

from lath import subjects
from lath.bus import Bus
from lath.errors import DeadlineExceeded, Internal, InvalidArgument, LathError
from lath.model import CloudEvent, parse
from lath_control.client.ctl import refusal

WAIT_MS: Final = 60_000
"""Default for waiting on an outcome: compiling a large component on a busy machine takes tens of seconds."""


class Outcome:
    """Listens for one outcome from before the request is sent, so that it cannot be missed.

    Enter it, send the request, then `wait`.
    """

    def __init__(
        self, bus: Bus, *, good: Collection[str], bad: Collection[str], about: Callable[[CloudEvent], bool]
    ) -> None:
        self._bus = bus
        self._good = good
        self._bad = bad
        self._about = about
        self._event: asyncio.Future[CloudEvent] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Outcome:
        self._subscription = await self._bus.subscribe(
            subjects.wasmbus_events_pattern(self._bus.lattice), self._on_message
        )
        await self._bus.flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._subscription.unsubscribe()
        self._event.cancel()

    async def _on_message(self, message: Msg) -> None:
        name = message.subject.rpartition(".")[2]
        if name not in self._good and name not in self._bad:
            return
        try:
            event = parse(CloudEvent, message.data, "event")
        except InvalidArgument:
            return  # a stranger's message on the events' subject is nobody's outcome
        if self._about(event) and not self._event.done():
            self._event.set_result(event)

    async def wait(self, timeout_ms: int) -> CloudEvent:
        """The event of success.

        Raises:
            LathError: The event of failure came, with the host's reason.
            DeadlineExceeded: Neither came in time.
        """
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                event = await asyncio.shield(self._event)
        except TimeoutError:
            raise DeadlineExceeded(
                f"no outcome after {timeout_ms} ms: the request was accepted and may still end"
            ) from None
        if event.name in self._bad:
            raise failure_of(event)
        return event


def failure_of(event: CloudEvent) -> LathError:
    """The reason that an event of failure carries."""
    reason = event.data.get("error")
    return (
        refusal(reason) if isinstance(reason, str) and reason else Internal(f"{event.name}, without a reason")
    )
