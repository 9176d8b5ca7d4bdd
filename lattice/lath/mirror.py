"""A filter of a bucket kept as a local map, through reconnects, gaps and lost stores.

It asks for no more than a provider may. A mirror is a row of generations. Each is a `Watch`: a snapshot,
then every write. When it breaks, the next one starts; its snapshot replaces the map at once, and what
differs is told as changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Final

from lath.bus.connection import Bus
from lath.bus.entry import Entry
from lath.bus.jetstream import STREAM_NOT_FOUND, JetStreamError
from lath.bus.watch import HEARTBEAT_MS, Watch
from lath.errors import ConnectionLost, LathError, NotConnected
from lath.subjects import BucketKind
from lath.telemetry import get_logger

_log = get_logger("lath.mirror")

_RETRY_MIN_S: Final = 0.1
_RETRY_MAX_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Change:
    """A key that changed.

    Attributes:
        key: Which one.
        old: What was there; None: nothing.
        new: What is there now; None: nothing.
        tombstone: The write that deleted it, where there was one to see.
    """

    key: str
    old: Entry | None
    new: Entry | None
    tombstone: Entry | None = None


ChangeCallback = Callable[[Sequence[Change]], None]


class Mirror:
    """See the module.

    Args:
        bus: The connection.
        kind: Which bucket.
        filters: Which keys, as NATS filters; one consumer each, merged into one map.
        heartbeat_ms: How often the server says that it is still there; two and a half missed ones start
            a new generation.

    Attributes:
        entries: The live entries by key. A view: it changes with the mirror.
        synced: Whether `entries` is whole and current, as far as anybody can tell.
        ever_synced: Whether it was once: `entries` may then be old, but it is not empty for lack of reading.
        error: Why the bucket cannot be read at the moment; None when it can.
        generation: Counts the snapshots taken.
    """

    def __init__(
        self,
        bus: Bus,
        kind: BucketKind,
        filters: Sequence[str] = (">",),
        *,
        heartbeat_ms: int = HEARTBEAT_MS,
    ) -> None:
        self._bus = bus
        self._kind: BucketKind = kind
        self._filters = tuple(filters)
        self._heartbeat_ms = heartbeat_ms
        self._entries: dict[str, Entry] = {}
        # With several filters a key may come twice, in any order: its last sequence is kept, deleted or not.
        self._sequences: dict[str, int] | None = {} if len(self._filters) > 1 else None
        self._callbacks: list[ChangeCallback] = []
        self._waiters: set[asyncio.Future[None]] = set()
        self._watch: Watch | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._undo: list[Callable[[], None]] = []
        self.entries: Mapping[str, Entry] = MappingProxyType(self._entries)
        self.synced = False
        self.ever_synced = False
        self.error: LathError | None = None
        self.generation = 0

    async def start(self) -> None:
        """Starts reading. Returns at once; see `wait_synced`."""
        if self._task is None:
            self._undo = [self._bus.on_disconnect(self._lost), self._bus.on_reconnect(self._wake.set)]
            self._task = asyncio.create_task(self._run(), name=f"mirror {self._kind}")

    def on_change(self, callback: ChangeCallback) -> Callable[[], None]:
        """Has `callback` called with what changed, on the loop; returns what undoes this."""
        self._callbacks.append(callback)

        def remove() -> None:
            with contextlib.suppress(ValueError):
                self._callbacks.remove(callback)

        return remove

    async def wait_synced(self) -> None:
        """Waits until the map is whole and current. Wrap it in `asyncio.timeout`."""
        await self.wait_until(lambda: self.synced)

    async def wait_until(self, predicate: Callable[[], bool]) -> None:
        """Waits until `predicate()` holds, asking after every change. Wrap it in `asyncio.timeout`."""
        while not predicate():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def resync(self) -> None:
        """Takes a new snapshot and waits for it. Wrap it in `asyncio.timeout`."""
        after = self.generation
        self.synced = False
        if self._watch is not None:
            self._watch.fail("a new snapshot was asked for")
        self._wake.set()
        await self.wait_until(lambda: self.synced and self.generation > after)

    async def close(self) -> None:
        """Stops reading. What was read stays in `entries`."""
        task, self._task = self._task, None
        for undo in self._undo:
            undo()
        self._undo = []
        self.synced = False
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._tell_waiters()

    async def __aenter__(self) -> Mirror:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- generations ----------------------------------------------------------------------------------

    async def _run(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            if self._bus.connected:
                before = self.generation
                await self._one_generation()
                failures = 0 if self.generation > before else failures + 1
            else:
                failures = 0
            self.synced = False
            await self._pause(failures)

    async def _one_generation(self) -> None:
        watch = Watch(
            self._bus,
            self._kind,
            self._filters,
            on_ready=self._replace,
            on_entry=self._apply,
            heartbeat_ms=self._heartbeat_ms,
        )
        try:
            self._watch = watch
            await watch.start()
            self.error = None
            reason = await watch.broken
            _log.debug("a mirror starts again", bucket=self._kind, reason=reason)
        except LathError as e:
            self._tell_error(e)
        except Exception:
            _log.exception("a mirror failed, and starts again", bucket=self._kind)
        finally:
            self._watch = None
            await watch.close()

    async def _pause(self, failures: int) -> None:
        """Waits before the next generation: not at all after a good one, else longer each time."""
        if not self._bus.connected:
            wait_s = _RETRY_MAX_S  # the reconnect wakes us
        elif failures:
            wait_s = min(_RETRY_MAX_S, _RETRY_MIN_S * 2.0 ** min(failures, 6)) * random.uniform(0.5, 1.0)
        else:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()

    def _lost(self) -> None:
        self.synced = False

    def _tell_error(self, error: LathError) -> None:
        """Logs each kind of trouble once, not at each attempt. A bucket yet to be made is no trouble."""
        missing = isinstance(error, JetStreamError) and error.code == STREAM_NOT_FOUND
        told_by_bus = isinstance(error, NotConnected | ConnectionLost)
        if not missing and not told_by_bus and (self.error is None or type(self.error) is not type(error)):
            _log.warning("cannot read a bucket, trying again", bucket=self._kind, error=str(error))
        self.error = error

    # --- the map --------------------------------------------------------------------------------------

    def _replace(self, snapshot: dict[str, Entry]) -> None:
        if self._sequences is not None:
            self._sequences = {key: entry.sequence for key, entry in snapshot.items()}
        changes = []
        for key, old in list(self._entries.items()):
            new = snapshot.get(key)
            if new is None or new.deleted:
                del self._entries[key]
                changes.append(Change(key, old, None, new))
        for key, new in snapshot.items():
            if not new.deleted:
                before = self._entries.get(key)
                if before != new:
                    self._entries[key] = new
                    changes.append(Change(key, before, new))
        self.generation += 1
        self.synced = self.ever_synced = True
        self._tell(changes)

    def _apply(self, entry: Entry) -> None:
        if self._sequences is not None:
            if self._sequences.get(entry.key, 0) >= entry.sequence:
                return
            self._sequences[entry.key] = entry.sequence
        old = self._entries.get(entry.key)
        if not entry.deleted:
            self._entries[entry.key] = entry
            self._tell([Change(entry.key, old, entry)])
        elif old is not None:
            del self._entries[entry.key]
            self._tell([Change(entry.key, old, None, entry)])

    def _tell(self, changes: Sequence[Change]) -> None:
        if changes:
            for callback in list(self._callbacks):
                try:
                    callback(changes)
                except Exception:
                    _log.exception("a mirror's callback failed", bucket=self._kind)
        self._tell_waiters()

    def _tell_waiters(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
