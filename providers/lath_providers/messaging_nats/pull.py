"""Pulls messages from a consumer, ahead of their handling and never more than there is room for.

Requests overlap: the next one is sent while the one before is still being answered, so that messages come
without a pause. The server says in heartbeats that it is there; when it falls silent, or the consumer is
gone, that is told once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from nats import errors as nats_errors
from nats.aio.msg import Msg

from lath.bus import Bus
from lath.bus.jetstream import API, HEADER_STATUS
from lath.bus.sink import drain_sink, sink
from lath.errors import LathError, NotConnected

EXPIRES_S: Final = 30.0
"""How long the server keeps a request that it cannot answer yet."""
HEARTBEAT_S: Final = 5.0
"""How often it says that it does."""
SILENT_S: Final = 13.0
"""After so long without a word the consumer is taken for gone: two heartbeats and a half."""
AGAIN_S: Final = 0.5
"""How long to wait after the server turned a request away."""
_NS: Final = 1_000_000_000
_PENDING: Final = "Nats-Pending-Messages"
_DESCRIPTION: Final = "Description"
_HEARTBEAT: Final = "100"
_EXPIRED: Final = "408"
_NOBODY: Final = "503"
_GONE: Final = ("consumer deleted", "consumer is push based")


class Pull:
    """Asks for messages for as long as it is open.

    Args:
        bus: The connection.
        stream: The stream.
        consumer: Its consumer.
        at_once_max: Messages held and asked for, together.
        take: Called with each message, in the connection's read loop: it must not raise.
        gone: Called with the reason when no message can come any more.

    Attributes:
        held: Messages that came and are not done with; `done` counts them down.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        consumer: str,
        at_once_max: int,
        take: Callable[[Msg], None],
        gone: Callable[[str], None],
    ) -> None:
        self.held = 0
        self._bus = bus
        self._subject = f"{API}CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._consumer = consumer
        self._max = at_once_max
        self._again_at = max(1, at_once_max // 4)
        self._take = take
        self._gone = gone
        self._asked = 0
        self._inbox = ""
        self._subscription: Any = None
        self._open = False
        self._numbers = 0
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._timers: set[asyncio.TimerHandle] = set()

    async def start(self) -> None:
        """Subscribes, and asks for the first messages.

        Raises:
            NotConnected: There is no connection.
        """
        self._inbox = f"{self._bus.new_inbox()}."
        try:
            self._subscription = await self._bus.nc.subscribe(f"{self._inbox}*", future=sink(self._received))
        except nats_errors.Error as e:
            raise NotConnected(f"the connection to {self._bus.url} is lost: {e}") from e
        self._open = True
        self._ask()
        self._listen()

    def done(self) -> None:
        """A message that came is done with: there is room for another."""
        self.held -= 1
        if self._open and self._max - self.held - self._asked >= self._again_at:
            self._ask()

    async def stop(self) -> None:
        """Takes no more messages. Those that were on their way have come on return."""
        self._open = False
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await drain_sink(subscription)

    def _ask(self) -> None:
        count = self._max - self.held - self._asked
        if count <= 0:
            return
        self._numbers += 1
        body = {"batch": count, "expires": int(EXPIRES_S * _NS), "idle_heartbeat": int(HEARTBEAT_S * _NS)}
        if self._bus.nc.post(self._subject, json.dumps(body).encode(), f"{self._inbox}{self._numbers}"):
            if self._asked <= 0:
                self._heard_at = self._loop.time()
            self._asked += count
        else:
            self._later(AGAIN_S, self._ask)

    def _received(self, msg: Msg) -> None:
        """In the read loop of the connection."""
        self._heard_at = self._loop.time()
        headers = msg.headers
        if msg.subject.startswith(self._inbox):
            if headers is not None and HEADER_STATUS in headers:
                self._told(headers)
            return  # a message has the subject that it was published to
        self._asked -= 1
        self.held += 1
        self._take(msg)
        if self._open and self._max - self.held - self._asked >= self._again_at:
            self._ask()

    def _told(self, headers: dict[str, str]) -> None:
        status, description = headers[HEADER_STATUS], headers.get(_DESCRIPTION, "")
        if status == _HEARTBEAT:
            return
        left = headers.get(_PENDING, "")
        self._asked = max(0, self._asked - int(left)) if left.isdigit() else 0
        if not self._open:
            return
        if status == _EXPIRED:
            self._ask()
        elif status == _NOBODY or description.lower() in _GONE:
            self._gone(f"consumer {self._consumer} is gone: {description or 'nobody answers for it'}")
        else:  # its server stops, another one leads, or others ask too much: it goes on
            self._later(AGAIN_S, self._ask)

    def _listen(self) -> None:
        now = self._loop.time()
        if self._asked <= 0:  # all that may be held is held, so the server has nothing to say
            self._heard_at = now
        if now - self._heard_at > SILENT_S:
            self._gone(f"consumer {self._consumer} has not been heard of for {SILENT_S:g} s")
        else:
            self._later(HEARTBEAT_S, self._listen)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            if self._open:
                what()

        timer = self._loop.call_later(seconds, due)
        self._timers.add(timer)


async def answer(bus: Bus, reply: str, verdict: bytes, *, confirmed_ms: float | None = None) -> bool:
    """Says what became of a message.

    Args:
        bus: The connection that it came by.
        reply: Its reply subject.
        verdict: `+ACK`, `-NAK …`, `+TERM …` or `+WPI`.
        confirmed_ms: How long to wait for the server's word that it has noted it; None: do not ask for one.

    Returns:
        Whether it was said, and confirmed where that was asked for. If not, the message comes again.
    """
    try:
        if confirmed_ms is not None:
            await bus.request(reply, verdict, timeout_ms=confirmed_ms)
        elif not bus.nc.post(reply, verdict):
            await bus.publish(reply, verdict)
    except LathError:
        return False
    return True
