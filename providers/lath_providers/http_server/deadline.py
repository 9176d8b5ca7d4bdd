"""A deadline that moves often and seldom passes, on at most one timer of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_NEVER: Final = float("inf")


class Deadline:
    """What a connection waits for, with an end to it.

    A timer that is due early looks at the time and waits on; so setting a later one, as each request does,
    costs no timer.

    Args:
        on_passed: Called when it passes; it is not set any more then.
    """

    __slots__ = ("_at", "_loop", "_on_passed", "_timer")

    def __init__(self, on_passed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_passed = on_passed
        self._at = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Lets it pass in so many seconds."""
        self._at = at = self._loop.time() + seconds
        timer = self._timer
        if timer is not None:
            if timer.when() <= at:
                return
            timer.cancel()
        self._timer = self._loop.call_at(at, self._look)

    def clear(self) -> None:
        """Nothing is waited for."""
        self._at = _NEVER

    def cancel(self) -> None:
        """Lets go of the timer, for good."""
        self._at = _NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._at == _NEVER:
            return
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._look)
            return
        self._at = _NEVER
        self._on_passed()
