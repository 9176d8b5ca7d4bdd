"""Takes messages from a stream for one component: each until that has returned ok, or it is given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

from nats.aio.msg import Msg

from lath.backoff import Backoff
from lath.bus import jetstream
from lath.bus.callbacks import ended
from lath.bus.jetstream import Delivery
from lath.errors import DidNotRun, InvalidArgument, LathError, PayloadTooLarge
from lath.names import shown
from lath.provider import OpError
from lath.telemetry import get_logger
from lath_providers.messaging.handling import Counts, Handling
from lath_providers.messaging.message import broker_message
from lath_providers.messaging_nats import letters
from lath_providers.messaging_nats.config import NatsTakingConfig
from lath_providers.messaging_nats.connections import Connection
from lath_providers.messaging_nats.consumer import check_dead_letters, ensure_consumer
from lath_providers.messaging_nats.pull import Pull, answer

ACK: Final = b"+ACK"
IN_PROGRESS: Final = b"+WPI"
NOT_NOW: Final = b"-NAK"
GIVEN_UP: Final = b"+TERM kept as a dead letter"
CONFIRM_MS: Final = 5_000.0
"""How long the server may take to confirm."""
ABSENT: Final = Backoff(first_ms=20, max_ms=5_000)
"""How long to wait for a component that is away, or has no room."""
TURNS: Final = 8
"""Calls that end at once may follow each other so often before the loop has its turn: reading comes by it."""
_PERIODS: Final = 3
"""The server is told so often within `ack_wait_ms` that a message is in work; one lost word does no harm."""

_log: Final = get_logger("lath.messaging")


class StreamTaker:
    """What a link from the provider holds that names a stream.

    At most `in_flight_max` messages are held: `concurrency_max` in work, the others wait; the stream keeps
    the rest. A call that certainly did not run (its component is not there, or full) is made again, for as
    long as it takes, and uses up no delivery; any other failure hands the message back, to come again later.

    Args:
        connection: To the servers.
        config: The link's.
        consumer: The durable consumer.
        handling: Calls the component.

    Attributes:
        counts: What became of its messages.
    """

    def __init__(
        self, connection: Connection, config: NatsTakingConfig, consumer: str, handling: Handling
    ) -> None:
        self.connection = connection
        self.counts = Counts()
        self._config = config
        self._consumer = consumer
        self._handling = handling
        self._bus = connection.bus
        self._pull: Pull | None = None
        self._waiting: deque[Msg] = deque()
        self._held: dict[str, float] = {}
        """When each message came that is not done with, by its reply subject, in loop time."""
        self._workers: set[asyncio.Task[None]] = set()
        self._extending: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._leaving = False

    async def start(self, gone: Callable[[str], None]) -> None:
        """Makes the consumer where it is missing, and begins to pull.

        Args:
            gone: Called with the reason when no message can come any more.

        Raises:
            LathError: The stream is missing, the server refuses, or there is no connection.
        """
        config = self._config
        await ensure_consumer(self._bus, self._consumer, config)
        if config.dead_letter_subject:
            await check_dead_letters(self._bus, config.dead_letter_subject)
        self._pull = Pull(self._bus, config.stream, self._consumer, config.in_flight_max, self._arrived, gone)
        await self._pull.start()
        self._extending = asyncio.create_task(self._extend(), name="extend the wait for acknowledgements")

    async def drain(self) -> None:
        """Takes no more messages, hands back those that wait, and finishes those in work."""
        self._leaving = True
        left, self._waiting = self._waiting, deque()
        try:
            if self._pull is not None:
                await self._pull.stop()
        finally:  # not before: the stream would bring them to this instance once more
            for msg in left:
                self._hand_back(msg)
        while self._workers:
            await asyncio.wait(self._workers)
        with contextlib.suppress(LathError):
            await self._bus.flush()

    async def close(self, grace_s: float) -> None:
        """Likewise; those still in work after a grace are cancelled, and handed back."""
        draining = asyncio.create_task(self.drain())
        await asyncio.wait({draining}, timeout=grace_s if self._bus.connected else 0)
        for worker in self._workers:
            worker.cancel()
        if self._workers:
            await asyncio.wait(self._workers)
        for task in (draining, self._extending):
            if task is not None:
                await ended(task)

    # --- a message -----------------------------------------------------------------------------------

    def _arrived(self, msg: Msg) -> None:
        """In the read loop of the connection."""
        if self._leaving:
            self._hand_back(msg)
            return
        self._held[msg.reply] = self._loop.time()
        self._waiting.append(msg)
        if len(self._workers) < self._config.concurrency_max:
            worker = self._loop.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        """Deals with what waits, message after message, and lets others have a turn now and then."""
        turns = 0
        while self._waiting:
            msg = self._waiting.popleft()
            try:
                await self._process(msg)
            except asyncio.CancelledError:
                self._bus.nc.post(msg.reply, NOT_NOW)
                raise
            except Exception:
                _log.exception("a message could not be dealt with", subject=shown(msg.subject))
            finally:
                self._done(msg)
            turns += 1
            if turns % TURNS == 0:
                await asyncio.sleep(0)

    async def _process(self, msg: Msg) -> None:
        if not jetstream.delivered_first(msg.reply) and await self._is_over(msg):
            return
        message = broker_message(msg.subject, msg.data, None)
        attempt = 0
        while True:
            try:
                await self._handling.handle(message, msg.headers)
            except OpError as e:
                reason = str(e.payload)
            except (InvalidArgument, PayloadTooLarge) as e:
                reason = str(e)
            except DidNotRun as e:
                attempt += 1
                await self._wait_for_component(attempt, e)
                continue
            except LathError as e:
                reason = str(e)
            else:
                self.counts.handled += 1
                if self._config.ack_confirmed or not self._bus.nc.post(msg.reply, ACK):
                    await answer(self._bus, msg.reply, ACK, confirmed_ms=self._confirmed_ms)
                return
            await self._failed(msg, reason)
            return

    async def _is_over(self, msg: Msg) -> bool:
        """Whether a message is not to be shown to the component: its last delivery is over, or it is none."""
        delivery = jetstream.delivery(msg.reply)
        if delivery is None:
            return True  # not from the consumer: somebody aimed at the inbox
        self.counts.redelivered += 1
        if not self._config.deliveries_max or delivery.deliveries <= self._config.deliveries_max:
            return False
        await self._give_up(msg, delivery, "the last delivery ended without an answer")
        return True

    async def _wait_for_component(self, attempt: int, error: DidNotRun) -> None:
        if attempt & (attempt - 1) == 0:  # at 1, 2, 4, 8, …: it may take hours
            _log.warning("messages wait for their component", reason=str(error), attempt=attempt)
        await asyncio.sleep(ABSENT.delay_ms(attempt) / 1000)

    async def _failed(self, msg: Msg, reason: str) -> None:
        """Hands a message back for later, or gives it up."""
        delivery = jetstream.delivery(msg.reply)
        if delivery is None:
            return
        self.counts.failed += 1
        limit = self._config.deliveries_max
        if limit and delivery.deliveries >= limit:
            await self._give_up(msg, delivery, reason)
            return
        delay_ms = self._config.delay_ms(delivery.deliveries)
        _log.warning(
            "a message was not handled and comes again",
            subject=shown(msg.subject), reason=reason, deliveries=delivery.deliveries, delay_ms=delay_ms,
        )  # fmt: skip
        await self._later(msg, delay_ms)

    async def _give_up(self, msg: Msg, delivery: Delivery, reason: str) -> None:
        """Keeps a message as a dead letter, and only then tells the stream to deliver it no more."""
        try:
            await letters.keep(self._bus, self._config.dead_letter_subject, msg, delivery, reason)
        except LathError as e:
            _log.error("a dead letter could not be kept", subject=shown(msg.subject), reason=str(e))
            await self._later(msg, self._config.delay_ms(delivery.deliveries))
            return
        self.counts.dead += 1
        _log.warning("a message was given up", subject=shown(msg.subject), reason=reason)
        await answer(self._bus, msg.reply, GIVEN_UP, confirmed_ms=CONFIRM_MS)

    async def _later(self, msg: Msg, delay_ms: int) -> None:
        await answer(self._bus, msg.reply, b'%b {"delay": %d}' % (NOT_NOW, delay_ms * 1_000_000))

    def _hand_back(self, msg: Msg) -> None:
        self._bus.nc.post(msg.reply, NOT_NOW)
        self._done(msg)

    def _done(self, msg: Msg) -> None:
        self._held.pop(msg.reply, None)
        if self._pull is not None:
            self._pull.done()

    @property
    def _confirmed_ms(self) -> float | None:
        return CONFIRM_MS if self._config.ack_confirmed else None

    async def _extend(self) -> None:
        """Tells the server of the messages held for a while that they are in work."""
        period_s = self._config.ack_wait_ms / 1000 / _PERIODS
        while True:
            await asyncio.sleep(period_s)
            before = self._loop.time() - period_s
            for reply, since in self._held.items():
                if since <= before:
                    self._bus.nc.post(reply, IN_PROGRESS)
