"""A subscription whose messages are handled side by side, up to a bound."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from nats import errors as nats_errors
from nats.aio.msg import Msg

from lath.subjects import ACK_REPLY_PREFIX
from lath.telemetry import get_logger

if TYPE_CHECKING:
    from lath.bus.client import BusClient

_log = get_logger("lath.bus")

Handler = Callable[[Msg], Awaitable[None]]

PENDING_MESSAGES_MAX: Final = 64 * 1024
PENDING_BYTES_MAX: Final = 128 * 1024 * 1024
"""What may wait in the client for one subscription. Beyond, messages are dropped, counted and logged."""


class Subscription:
    """One subscription; made by `Bus.subscribe`.

    nats-py runs the callbacks of a subscription one after another, so each message gets a task here. At
    `concurrency_max` running handlers the next message waits, and the ones behind it wait in the client.

    Attributes:
        subject: What it subscribes to.
        queue: Its queue group, or empty.
        denied: Whether the server refused it for lack of permission (known after a `Bus.flush`).
        dropped: Messages lost because too many waited.
    """

    def __init__(self, subject: str, queue: str, handler: Handler, concurrency_max: int) -> None:
        self.subject = subject
        self.queue = queue
        self.denied = False
        self.dropped = 0
        self._handler = handler
        self._slots = asyncio.Semaphore(concurrency_max)
        self._tasks: set[asyncio.Task[None]] = set()
        self._inner: Any = None
        self._left: Callable[[Subscription], None] | None = None

    async def attach(self, nc: BusClient, left: Callable[[Subscription], None]) -> int:
        """Subscribes; returns the client's number of the subscription. Called once, by `Bus`."""
        self._left = left
        self._inner = await nc.subscribe(
            self.subject,
            queue=self.queue,
            cb=self._receive,
            pending_msgs_limit=PENDING_MESSAGES_MAX,
            pending_bytes_limit=PENDING_BYTES_MAX,
        )
        number: int = self._inner._id
        return number

    @property
    def running(self) -> int:
        """How many messages are being handled."""
        return len(self._tasks)

    async def unsubscribe(self) -> None:
        """Takes no more messages. What is being handled goes on."""
        inner, self._inner = self._inner, None
        if inner is not None:
            with contextlib.suppress(nats_errors.Error):
                await inner.unsubscribe()
        if self._left is not None:
            self._left(self)

    async def drain(self) -> None:
        """Takes no more messages, and waits until those that arrived have been handled."""
        inner, self._inner = self._inner, None
        if inner is not None:
            try:
                await inner.drain()
            except nats_errors.Error:
                # The connection broke meanwhile; nats-py would subscribe again after the reconnect.
                inner._stop_processing()
                inner._conn._remove_sub(inner._id)
        if self._left is not None:
            self._left(self)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Takes no more messages and cancels what is being handled."""
        await self.unsubscribe()
        await self.cancel_handlers()

    async def cancel_handlers(self) -> None:
        """Cancels what is being handled and waits for it."""
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _receive(self, msg: Msg) -> None:
        if msg.reply.startswith(ACK_REPLY_PREFIX):
            # A consumer's `deliver_subject` was aimed at this subject: nobody sent this on purpose.
            _log.warning("refused a message of a consumer", subject=msg.subject, subscription=self.subject)
            return
        await self._slots.acquire()
        task = asyncio.get_running_loop().create_task(self._run(msg))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def _run(self, msg: Msg) -> None:
        try:
            await self._handler(msg)
        except Exception:
            _log.exception("a message handler failed", subject=msg.subject)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
