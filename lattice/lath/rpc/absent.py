"""Notices that nobody waits for a call any more: its caller has died, or gave up while it had no connection.

A caller that gives up says so. One that cannot is asked: once a call is a second old, and then with growing
pauses, its reply subject gets a message with the header `Lath-Ask`. A caller that waits ignores it, one that
does not wait answers it, and where the caller is gone the server says that nobody listens. Only callers whose
reply subject ends with the call id are asked: others might take the question for the answer.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from nats import errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from lath.bus.sink import sink
from lath.errors import CallCancelled
from lath.rpc.running import Running
from lath.subjects import HEADER_ASK, HEADER_BULK

if TYPE_CHECKING:
    from lath.bus import Bus

ASK_EVERY_S: Final = 0.5
"""How often the calls are looked through."""
FIRST_S: Final = 1.0
"""How old a call is when its caller is asked first. Then its age doubles from question to question."""
STRIKES: Final = 2
"""How often nobody must have listened, in a row. Once may be a moment in which a cluster's servers lose each
other."""
_STATUS: Final = "Status"


class AbsentCallers:
    """Asks the callers of long calls, and stops the calls for which nobody waits.

    Args:
        bus: The connection.
        running: The calls that run, by source and call id.
    """

    def __init__(self, bus: Bus, running: Mapping[tuple[str, str], Running]) -> None:
        self._bus = bus
        self._running = running
        self._inbox = f"{bus.nc.new_inbox()}."
        self._numbers = itertools.count()
        self._asked: dict[str, Running] = {}
        """By the token that its answer comes under."""
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Looks after the calls that run, until none does. Call it when one begins."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="lath-absent-callers")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self._subscription is not None:
            with suppress(nats_errors.Error):
                await self._subscription.unsubscribe()
            self._subscription = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._running:
                await asyncio.sleep(ASK_EVERY_S)
                now = loop.time()
                due = [call for call in self._running.values() if _is_due(call, now)]
                if due and self._bus.connected:
                    with suppress(nats_errors.Error):  # the connection is gone again: next time
                        await self._ask(due)
        finally:
            self._task = None

    async def _ask(self, calls: list[Running]) -> None:
        if self._subscription is None:
            self._subscription = await self._bus.nc.subscribe(f"{self._inbox}*", future=sink(self._answered))
        self._asked.clear()  # of those who waited nothing is heard
        for call in calls:
            call.asks += 1
            token = f"{next(self._numbers):x}"
            self._asked[token] = call
            await self._bus.nc.publish(call.msg.reply, b"", self._inbox + token, {HEADER_ASK: "1"})

    def _answered(self, msg: Msg) -> None:
        """In the read loop of the connection: it must not raise."""
        call = self._asked.pop(msg.subject.rpartition(".")[2], None)
        if call is None:
            return
        if msg.headers and _STATUS in msg.headers:
            call.strikes += 1
            if call.strikes < STRIKES:
                return
        call.stop(CallCancelled("nobody waits for it any more"))


def _is_due(call: Running, now: float) -> bool:
    msg = call.msg
    if call.answered:
        return False  # the ends of its stream look after each other
    if not msg.reply.endswith("." + call.header.call_id) or (msg.headers and HEADER_BULK in msg.headers):
        return False
    return call.strikes > 0 or now - call.began >= FIRST_S * 2**call.asks
