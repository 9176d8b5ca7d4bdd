"""Deadlines by the thousand: one timer per tick instead of one per call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_TICKS_PER_SECOND: Final = 64
"""Deadlines are met within 16 ms after they pass: fine enough for time-outs, few enough timers."""

T = TypeVar("T")


class DeadlineWheel(Generic[T]):
    """Calls `expired(item)` for each item whose deadline passed and that was not removed before.

    Items are kept in the tick in which they expire; only ticks have timers.
    """

    def __init__(self, expired: Callable[[T], None]) -> None:
        self._expired = expired
        self._ticks: dict[int, set[T]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()

    def add(self, item: T, deadline: float) -> set[T]:
        """Watches `item`. Returns the set to `discard` it from once it is done.

        Args:
            item: What expires.
            deadline: Time of the event loop, seconds.
        """
        tick = int(deadline * _TICKS_PER_SECOND) + 1
        items = self._ticks.get(tick)
        if items is None:
            items = self._ticks[tick] = set()
            self._timers[tick] = self._loop.call_at(tick / _TICKS_PER_SECOND, self._fire, tick)
        items.add(item)
        return items

    def _fire(self, tick: int) -> None:
        self._timers.pop(tick, None)
        for item in self._ticks.pop(tick, ()):
            self._expired(item)

    def close(self) -> None:
        """Forgets everything; nothing expires any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ticks.clear()
