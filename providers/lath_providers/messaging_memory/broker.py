"""A message broker in one process: subjects, wildcards, queue groups and requests, as NATS core has them."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from lath.codec import Record
from lath.errors import DeadlineExceeded, Unavailable
from lath.names import new_id, shown
from lath_providers.messaging.message import broker_message
from lath_providers.messaging.rights import INBOX
from lath_providers.messaging.subjects import any_matches

PENDING_MAX: Final = 64 * 1024
"""Messages that wait for one subscriber; as many as a NATS client keeps. Beyond, they are dropped."""

Headers: TypeAlias = Mapping[str, str]
Handle: TypeAlias = Callable[[Record, Headers], Awaitable[None]]


class Subscriber:
    """One link's subscriptions: its messages wait in one queue, and so many are handled at once.

    Args:
        patterns: What it takes.
        group: Of those in one group each message goes to one.
        handle: Handles a message, in a task of its own. It does not raise.
        concurrency_max: How many at once.

    Attributes:
        dropped: Messages lost because too many waited.
    """

    def __init__(self, patterns: Sequence[str], group: str, handle: Handle, concurrency_max: int) -> None:
        self.patterns = tuple(patterns)
        self.group = group
        self.dropped = 0
        self._handle = handle
        self._concurrency_max = concurrency_max
        self._waiting: deque[tuple[Record, Headers]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: Record, headers: Headers) -> None:
        """Has a message handled, as soon as there is room."""
        if len(self._waiting) >= PENDING_MAX:
            self.dropped += 1
            return
        self._waiting.append((message, headers))
        self._go_on()

    async def drain(self) -> None:
        """Waits until all that came has been handled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Ends what is being handled, and forgets what waits."""
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        await self.drain()

    def _go_on(self) -> None:
        while self._waiting and len(self._tasks) < self._concurrency_max:
            message, headers = self._waiting.popleft()
            task = asyncio.ensure_future(self._handle(message, headers))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._go_on()


class Broker:
    """Brings messages to subscribers. What nobody listens to is lost, as in NATS core."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()
        self._asked: dict[str, asyncio.Future[Record]] = {}

    def add(self, subscriber: Subscriber) -> None:
        """From now on it gets messages."""
        self._subscribers.add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """It gets no more messages; nothing where it is not there."""
        self._subscribers.discard(subscriber)

    def publish(self, message: Record, headers: Headers) -> int:
        """Hands a message to all that take it, and to one of each queue group. Returns how many got it."""
        asked = self._asked.get(message.subject)
        if asked is not None:
            if not asked.done():
                asked.set_result(message)
            return 1
        groups: dict[str, list[Subscriber]] = {}
        for subscriber in self._subscribers:
            if any_matches(subscriber.patterns, message.subject):
                groups.setdefault(subscriber.group, []).append(subscriber)
        for members in groups.values():
            random.choice(members).take(message, headers)
        return len(groups)

    async def request(self, subject: str, body: bytes, headers: Headers, timeout_s: float) -> Record:
        """Sends a message, and waits for the first answer to it.

        Raises:
            Unavailable: Nobody listens there.
            DeadlineExceeded: No answer in time.
        """
        inbox = f"{INBOX}.{new_id()}"
        asked: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._asked[inbox] = asked
        try:
            if not self.publish(broker_message(subject, body, inbox), headers):
                raise Unavailable(f"nobody listens on {shown(subject)}")
            async with asyncio.timeout(timeout_s):
                return await asked
        except TimeoutError:
            raise DeadlineExceeded(
                f"no reply from {shown(subject)} within {timeout_s * 1000:.0f} ms"
            ) from None
        finally:
            del self._asked[inbox]
