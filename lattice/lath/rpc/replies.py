"""Where the replies of calls come in, and which messages may be answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from nats import errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from lath import telemetry
from lath.bus.sink import sink
from lath.rpc.pending import Pending
from lath.subjects import HEADER_ASK, NEVER_REPLY_PREFIXES

if TYPE_CHECKING:
    from lath.bus import Bus

_log = telemetry.get_logger("lath.rpc")

_TELLING_MAX: Final = 1000
"""Answers being written at once to callees who ask whether anybody waits."""


def may_answer(reply: str) -> bool:
    """Whether `reply` is there and may be answered to: an inbox, not a subject that means something."""
    return bool(reply) and not reply.startswith(NEVER_REPLY_PREFIXES)


class Replies:
    """The replies of one caller's calls.

    Args:
        bus: The connection.

    Attributes:
        pending: The calls that wait, by id.
    """

    def __init__(self, bus: Bus) -> None:
        self.pending: dict[str, Pending] = {}
        self._bus = bus
        self._inbox = f"{bus.nc.new_inbox()}."
        self._telling: set[asyncio.Task[None]] = set()
        self._subscribing = asyncio.Lock()
        self._subscribed = False
        self._subscription: Subscription | None = None

    def subject(self, call_id: str) -> str:
        """Where the reply of a call comes in."""
        return self._inbox + call_id

    async def listen(self) -> None:
        """Subscribes, if that was not done."""
        if self._subscribed:
            return
        async with self._subscribing:
            if not self._subscribed:
                self._subscription = await self._bus.nc.subscribe(f"{self._inbox}*", future=sink(self.take))
                self._subscribed = True

    def take(self, msg: Msg) -> None:
        """A message to the subject of a call. Called in the read loop of a connection: it must not raise."""
        pending = self.pending.get(msg.subject.rpartition(".")[2])
        if msg.headers and HEADER_ASK in msg.headers:
            if pending is None:  # one that has its answer may be pulling the rest of it still
                self._say_that_nobody_waits(msg.reply)
        elif pending is not None and not pending.future.done():
            pending.future.set_result(msg)

    def _say_that_nobody_waits(self, reply: str) -> None:
        if may_answer(reply) and len(self._telling) < _TELLING_MAX:
            task = asyncio.get_running_loop().create_task(self._tell(reply))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, reply: str) -> None:
        with suppress(nats_errors.Error):  # it will ask again
            await self._bus.nc.publish(reply, b"")

    async def close(self) -> None:
        """Listens no more."""
        for task in list(self._telling):
            task.cancel()
        if self._subscription is not None:
            try:
                await self._subscription.unsubscribe()
            except nats_errors.Error as e:
                _log.debug("could not unsubscribe", error=str(e))
