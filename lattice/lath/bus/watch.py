"""One reading of a bucket: what stands under some filters now, then every write as it comes, until it breaks.

Each filter has a consumer with an unguessable name and an inbox of its own. A watch never repairs itself:
when anything is missing (a gap in the consumer's count, heartbeats, the connection) it is broken, and who
wants to go on starts another one (`lath.mirror` does).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from nats import errors as nats_errors
from nats.aio.msg import Msg

from lath import subjects
from lath.bus import jetstream
from lath.bus.connection import Bus
from lath.bus.entry import Entry, operation_of
from lath.errors import ConnectionLost, LathError, NotConnected, Unavailable
from lath.names import new_id
from lath.subjects import BucketKind
from lath.telemetry import get_logger

_log = get_logger("lath.bus")

HEARTBEAT_MS: Final = 2_000
HEARTBEATS_MISSED: Final = 2.5
"""After so many intervals without a word the consumer is taken for gone."""
INACTIVE_MS: Final = 30_000
"""A consumer that nobody listens to any more is removed by the server after this time."""
_SNAPSHOT_INACTIVE_MS: Final = 5_000
_PENDING_MESSAGES_MAX: Final = 512 * 1024
_PENDING_BYTES_MAX: Final = 256 * 1024 * 1024

_CONTROL: Final = "100"
_HEADER_LAST_CONSUMER: Final = "Nats-Last-Consumer"
_HEADER_STALLED: Final = "Nats-Consumer-Stalled"


class Watch:
    """See the module. Made, started once, closed.

    Args:
        bus: The connection.
        kind: Which bucket.
        filters: Which keys, as NATS filters.
        on_ready: Called once with all last writes by key, tombstones included.
        on_entry: Called for each write after that.
        heartbeat_ms: How often the server says that it is still there.
        inactive_ms: How long the server keeps the consumers once nobody listens.
    """

    def __init__(
        self,
        bus: Bus,
        kind: BucketKind,
        filters: Sequence[str],
        *,
        on_ready: Callable[[dict[str, Entry]], None],
        on_entry: Callable[[Entry], None],
        heartbeat_ms: int = HEARTBEAT_MS,
        inactive_ms: int = INACTIVE_MS,
    ) -> None:
        self._bus = bus
        self._kind: BucketKind = kind
        self._stream = subjects.stream(kind, bus.lattice)
        self._prefix = subjects.key_prefix(kind, bus.lattice)
        self._on_ready = on_ready
        self._on_entry = on_entry
        self._heartbeat_ms = heartbeat_ms
        self._inactive_ms = inactive_ms
        self._snapshot: dict[str, Entry] | None = {}
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._feeds = [_Feed(self, filter_) for filter_ in filters]
        self._loop = asyncio.get_running_loop()
        self._undo = bus.on_disconnect(lambda: self.fail("the connection was lost"))
        self.broken: asyncio.Future[str] = self._loop.create_future()
        """Done, with the reason, once this watch misses something."""

    async def start(self) -> None:
        """Makes the consumers.

        Raises:
            JetStreamError: The bucket does not exist, or refuses.
            PermissionDenied: Not for these filters.
            LathError: No connection, or no answer.
        """
        try:
            for feed in self._feeds:
                await feed.subscribe(self._bus)
            for feed in self._feeds:
                config = jetstream.consumer_config(
                    name=feed.consumer,
                    filter_subject=self._prefix + feed.filter,
                    inbox=feed.inbox,
                    heartbeat_ms=self._heartbeat_ms,
                    inactive_ms=self._inactive_ms,
                )
                pending = await jetstream.create_consumer(self._bus, self._stream, config)
                feed.heard_at = self._loop.time()
                feed.created = True
                if pending == 0:
                    self._complete(feed)
        except BaseException:
            await self.close()
            raise
        self._tick()

    async def close(self) -> None:
        """Stops listening. The server removes the consumers after `inactive_ms`."""
        if self._closed:
            return
        self._closed = True
        self._undo()
        if self._timer is not None:
            self._timer.cancel()
        self.broken.cancel()
        for feed in self._feeds:
            await feed.unsubscribe()

    def fail(self, reason: str) -> None:
        """Declares this watch broken."""
        if not self.broken.done():
            self.broken.set_result(reason)

    def _tick(self) -> None:
        limit_s = self._heartbeat_ms * HEARTBEATS_MISSED / 1000
        now = self._loop.time()
        if any(now - feed.heard_at > limit_s for feed in self._feeds):
            self.fail("the consumer's heartbeats stopped")
        elif not self._closed:
            self._timer = self._loop.call_later(self._heartbeat_ms / 1000, self._tick)

    async def _receive(self, feed: _Feed, msg: Msg) -> None:
        if self._closed or self.broken.done():
            return
        headers = msg.headers or {}
        if not msg.data and headers.get(jetstream.HEADER_STATUS) == _CONTROL:
            await self._control(feed, msg, headers)
            return
        delivery = jetstream.delivery(msg.reply)
        if delivery is None or delivery.consumer != feed.consumer or not msg.subject.startswith(self._prefix):
            return  # not from our consumer: somebody aimed at the inbox
        feed.heard_at = self._loop.time()
        feed.count += 1
        if delivery.consumer_sequence != feed.count:
            self.fail(f"delivery {feed.count} is missing, {delivery.consumer_sequence} came")
            return
        self._take(
            Entry(
                key=msg.subject.removeprefix(self._prefix),
                value=msg.data,
                sequence=delivery.stream_sequence,
                created_ns=delivery.created_ns,
                operation=operation_of(msg.headers),
            )
        )
        if delivery.pending == 0:
            self._complete(feed)

    async def _control(self, feed: _Feed, msg: Msg, headers: dict[str, Any]) -> None:
        feed.heard_at = self._loop.time()
        # Flow control: what came before has been taken in, so the server may go on.
        answer = msg.reply or headers.get(_HEADER_STALLED, "")
        if answer.startswith(jetstream.FLOW_CONTROL_PREFIX):
            with contextlib.suppress(LathError):
                await self._bus.publish(answer)
        if msg.reply:
            return
        last = headers.get(_HEADER_LAST_CONSUMER, "")
        if last.isdigit() and int(last) != feed.count:
            self.fail(f"{last} were delivered, {feed.count} came")
        elif not answer and feed.created:
            # Idle, so nothing is left to deliver: also where the last pending message expired meanwhile.
            self._complete(feed)

    def _take(self, entry: Entry) -> None:
        if self._snapshot is None:
            self._on_entry(entry)
            return
        known = self._snapshot.get(entry.key)
        if known is None or known.sequence < entry.sequence:
            self._snapshot[entry.key] = entry

    def _complete(self, feed: _Feed) -> None:
        feed.complete = True
        if self.broken.done() or self._closed:
            return
        if self._snapshot is not None and all(feed.complete for feed in self._feeds):
            snapshot, self._snapshot = self._snapshot, None
            self._on_ready(snapshot)


class _Feed:
    """One filter of a watch: its consumer, its inbox and what came so far."""

    def __init__(self, watch: Watch, filter_: str) -> None:
        self._watch = watch
        self._subscription: Any = None
        self.filter = filter_
        self.consumer = new_id("lath-")
        self.inbox = ""
        self.count = 0
        self.heard_at = 0.0
        self.created = False
        self.complete = False

    async def subscribe(self, bus: Bus) -> None:
        self.inbox = bus.new_inbox()
        try:
            self._subscription = await bus.nc.subscribe(
                self.inbox,
                cb=self._receive,
                pending_msgs_limit=_PENDING_MESSAGES_MAX,
                pending_bytes_limit=_PENDING_BYTES_MAX,
            )
        except nats_errors.Error as e:
            raise NotConnected(f"the connection to {bus.url} was closed") from e

    async def unsubscribe(self) -> None:
        if self._subscription is not None:
            with contextlib.suppress(nats_errors.Error):
                await self._subscription.unsubscribe()

    async def _receive(self, msg: Msg) -> None:
        await self._watch._receive(self, msg)


async def read_snapshot(
    bus: Bus, kind: BucketKind, filter_: str, *, timeout_ms: int = 30_000
) -> dict[str, Entry]:
    """What stands under a filter now, tombstones included.

    Raises:
        Unavailable: There is no such bucket, or it did not answer in time.
        ConnectionLost: The connection broke meanwhile.
        LathError: What `Bus.request` raises.
    """
    ready: asyncio.Future[dict[str, Entry]] = asyncio.get_running_loop().create_future()
    watch = Watch(
        bus,
        kind,
        (filter_,),
        on_ready=ready.set_result,
        on_entry=lambda entry: None,
        inactive_ms=_SNAPSHOT_INACTIVE_MS,
    )
    try:
        await watch.start()
        waited: set[asyncio.Future[Any]] = {ready, watch.broken}
        await asyncio.wait(waited, timeout=timeout_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            return ready.result()
        if watch.broken.done():
            raise ConnectionLost(f"reading bucket {kind} failed: {watch.broken.result()}")
        raise Unavailable(f"bucket {kind} did not answer within {timeout_ms} ms")
    finally:
        await watch.close()
