"""The time of day, and waiting for it: a clock that tests replace."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

SLICE_S: Final = 30.0
"""A long wait is cut into these, so that a clock that is set (by hand, by NTP, after sleep) is noticed."""


class Clock(Protocol):
    """The time of day in milliseconds since 1970."""

    def now_ms(self) -> int:
        """Now."""

    async def wait_until(self, ms: int) -> None:
        """Waits until then; it may return earlier, so that its caller looks again."""


class SystemClock:
    """The machine's."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def wait_until(self, ms: int) -> None:
        left_s = ms / 1000 - time.time()
        if left_s > 0:
            await asyncio.sleep(min(left_s, SLICE_S))
