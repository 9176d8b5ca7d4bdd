"""Who is there, as far as this process can tell.

The bucket's entries expire on the server without a word, so a view counts their time itself: who has not
renewed within its TTL is gone, and who waits for it knows within that. It judges only while it hears: time
without a connection, or without a current mirror, does not count, and after it everybody has one TTL to come
back. Each entry says itself how long it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

from lath.bus.connection import Bus
from lath.bus.entry import Entry
from lath.errors import InvalidArgument
from lath.mirror import Change, Mirror
from lath.model import PRESENCE_TTL_MS, LostParticipant, Presence, parse
from lath.presence.timing import LOST_KEPT_MS
from lath.telemetry import get_logger

_log = get_logger("lath.presence")

_TICKS_PER_TTL: Final = 15


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """Somebody came, said something new, or went.

    Attributes:
        old: What was known; None: nothing.
        new: What is known now; None: gone.
        reason: Of a going: whether it said goodbye (`withdrawn`) or was heard of no more (`expired`).
    """

    old: Presence | None
    new: Presence | None
    reason: Literal["announced", "withdrawn", "expired"]


PresenceCallback = Callable[[PresenceChange], None]


@dataclass(slots=True)
class _Seen:
    presence: Presence
    sequence: int
    heard_at: float
    suspected: bool = False


class PresenceView:
    """See the module.

    Args:
        bus: A connection that may read the bucket of presence.
        slack_ms: What is granted beyond that, on a machine that is short of time.
        filters: Whom to watch, as filters of presence keys.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        slack_ms: int = 0,
        filters: Sequence[str] = (">",),
    ) -> None:
        self._bus = bus
        self._tick_s = PRESENCE_TTL_MS / 1000 / _TICKS_PER_TTL
        self._slack_s = slack_ms / 1000
        self._mirror = Mirror(bus, "presence", filters)
        self._mirror.on_change(self._changed)
        self._seen: dict[str, _Seen] = {}
        self._by_target: dict[str, dict[str, _Seen]] = {}
        self._cached: dict[str, tuple[Presence, ...]] = {}
        self._lost: dict[str, tuple[Presence, float]] = {}
        self._callbacks: list[PresenceCallback] = []
        self._generation = 0
        self._judging_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def synced(self) -> bool:
        """Whether it is current."""
        return self._mirror.synced

    async def start(self) -> None:
        """Starts watching; see `wait_synced`."""
        if self._timer is None:
            await self._mirror.start()
            self._timer = self._loop.call_later(self._tick_s, self._tick)

    async def wait_synced(self) -> None:
        """Waits until it has read who is there. Wrap it in `asyncio.timeout`."""
        await self._mirror.wait_synced()

    async def wait_until(self, predicate: Callable[[], bool]) -> None:
        """Waits until `predicate()` holds, asking after every write. Wrap it in `asyncio.timeout`."""
        await self._mirror.wait_until(predicate)

    def instances(self, target: str) -> tuple[Presence, ...]:
        """The instances that serve `target`, without the suspected ones. Cheap: for every call."""
        cached = self._cached.get(target)
        if cached is None:
            seen = self._by_target.get(target, {})
            cached = tuple(seen[key].presence for key in sorted(seen) if not seen[key].suspected)
            self._cached[target] = cached
        return cached

    def hosts(self) -> tuple[Presence, ...]:
        """The hosts that are there."""
        return tuple(p for p in self.all() if p.kind == "host")

    def all(self) -> tuple[Presence, ...]:
        """Everybody who is there, suspected or not."""
        return tuple(self._seen[key].presence for key in sorted(self._seen))

    def get(self, target: str, instance_id: str) -> Presence | None:
        """One instance; None when it is not there."""
        for seen in self._by_target.get(target, {}).values():
            if seen.presence.instance_id == instance_id:
                return seen.presence
        return None

    def longest_ttl_ms(self, otherwise: int = PRESENCE_TTL_MS) -> int:
        """After how long without a word everybody who is there would be gone; `otherwise` for nobody."""
        return max((seen.presence.ttl_ms for seen in self._seen.values()), default=otherwise)

    def suspect(self, instance_id: str) -> None:
        """Leaves an instance out of `instances` until it renews: nobody listened where it should have."""
        for seen in self._seen.values():
            if seen.presence.instance_id == instance_id and not seen.suspected:
                seen.suspected = True
                self._cached.pop(seen.presence.target, None)

    def lost(self, within_ms: int = LOST_KEPT_MS) -> tuple[LostParticipant, ...]:
        """Who was heard of no more, did not say goodbye and has not come back."""
        now = self._loop.time()
        found = []
        for presence, at in self._lost.values():
            ago_ms = int((now - at) * 1000)
            if ago_ms <= within_ms:
                found.append(
                    LostParticipant(
                        target=presence.target,
                        instance_id=presence.instance_id,
                        kind=presence.kind,
                        host_id=presence.target if presence.kind == "host" else presence.host_id,
                        lost_ago_ms=ago_ms,
                    )
                )
        return tuple(found)

    def on_change(self, callback: PresenceCallback) -> Callable[[], None]:
        """Has `callback` called for each coming and going, on the loop; returns what undoes this."""
        self._callbacks.append(callback)

        def remove() -> None:
            with contextlib.suppress(ValueError):
                self._callbacks.remove(callback)

        return remove

    async def close(self) -> None:
        """Stops watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._mirror.close()

    async def __aenter__(self) -> PresenceView:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- inside ---------------------------------------------------------------------------------------

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.new is not None:
                self._heard(change.new)
            elif change.tombstone is not None:
                self._gone(change.key, "withdrawn")
            # Else it was missing after a reconnect: perhaps it is about to come back. Its time runs.

    def _heard(self, entry: Entry) -> None:
        try:
            presence = parse(Presence, entry.value, f"presence {entry.key}")
        except InvalidArgument as e:
            _log.warning("ignored an entry of presence", reason=e.message)
            return
        if presence.key != entry.key:
            _log.warning("ignored an entry of presence that is another's", key=entry.key, says=presence.key)
            return
        self._lost.pop(entry.key, None)
        seen = self._seen.get(entry.key)
        if seen is None:
            seen = _Seen(presence, entry.sequence, self._loop.time())
            self._seen[entry.key] = seen
            if presence.kind != "host":
                self._by_target.setdefault(presence.target, {})[entry.key] = seen
            self._cached.pop(presence.target, None)
            self._tick_as_fine_as(presence.ttl_ms)
            self._tell(PresenceChange(None, presence, "announced"))
            return
        old, seen.presence = seen.presence, presence
        seen.sequence, seen.heard_at = entry.sequence, self._loop.time()
        if seen.suspected or old != presence:
            seen.suspected = False
            self._cached.pop(presence.target, None)
        if old != presence:
            self._tell(PresenceChange(old, presence, "announced"))

    def _gone(self, key: str, reason: Literal["withdrawn", "expired"]) -> None:
        seen = self._seen.pop(key, None)
        if seen is None:
            return
        presence = seen.presence
        others = self._by_target.get(presence.target, {})
        others.pop(key, None)
        if not others:
            self._by_target.pop(presence.target, None)
        self._cached.pop(presence.target, None)
        if reason == "expired":
            self._lost[key] = (presence, self._loop.time())
        self._tell(PresenceChange(presence, None, reason))

    def _tick_as_fine_as(self, ttl_ms: int) -> None:
        tick_s = ttl_ms / 1000 / _TICKS_PER_TTL
        if tick_s < self._tick_s:
            self._tick_s = tick_s
            if self._timer is not None:
                self._timer.cancel()
                self._timer = self._loop.call_later(tick_s, self._tick)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        now = self._loop.time()
        if not self._mirror.synced or self._mirror.generation != self._generation:
            self._generation = self._mirror.generation
            self._judging_since = now
            return
        for key, seen in list(self._seen.items()):
            # less a tick: one that is a tick late is still in time
            limit_s = seen.presence.ttl_ms / 1000 + self._slack_s - self._tick_s
            if now - max(seen.heard_at, self._judging_since) > limit_s:
                self._gone(key, "expired")
        for key, (_, at) in list(self._lost.items()):
            if now - at > LOST_KEPT_MS / 1000:
                del self._lost[key]

    def _tell(self, change: PresenceChange) -> None:
        for callback in list(self._callbacks):
            try:
                callback(change)
            except Exception:
                _log.exception("a callback for presence failed")
