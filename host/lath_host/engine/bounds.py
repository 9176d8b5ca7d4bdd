"""How long what a pool awaits may take: until a deadline, or until the pool is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import perf_counter_ns
from typing import Any, Final

from lath.errors import CallCancelled, DeadlineExceeded

_NS_PER_SECOND: Final = 1_000_000_000
_MS_PER_SECOND: Final = 1000


def deadline(began: int, limit_ms: int) -> float:
    """When the time of what began at `began` (`perf_counter_ns`) is up, on the loop's clock.

    Most calls end before anybody waits for them, and need none.
    """
    spent_seconds = (perf_counter_ns() - began) / _NS_PER_SECOND
    return asyncio.get_running_loop().time() + limit_ms / _MS_PER_SECOND - spent_seconds


class Bounds:
    """The time-outs of one pool.

    Args:
        name: Of the component, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._timeouts: set[asyncio.Timeout] = set()
        self._stopping = False

    async def within(
        self, began: int, limit_ms: int, work: Coroutine[Any, Any, None], where: str = ""
    ) -> None:
        """Awaits `work` until `limit_ms` after `began`, or until all is stopped.

        Args:
            began: When the time began to run, in nanoseconds of `perf_counter_ns`.
            limit_ms: How much there is of it.
            work: What is awaited.
            where: What the time was spent on, for the message.

        Raises:
            DeadlineExceeded: The time is up.
            CallCancelled: All was stopped.
        """
        timeout = asyncio.timeout_at(0 if self._stopping else deadline(began, limit_ms))
        try:
            async with timeout:
                self._timeouts.add(timeout)
                await work
        except TimeoutError:
            if not timeout.expired():
                raise
            if self._stopping:
                raise CallCancelled(f"{self._name} was stopped") from None
            raise DeadlineExceeded(f"{self._name} did not answer within {limit_ms} ms{where}") from None
        finally:
            self._timeouts.discard(timeout)

    def stop(self) -> None:
        """Ends all that is awaited, and whatever will be."""
        self._stopping = True
        now = asyncio.get_running_loop().time()
        for timeout in self._timeouts:
            if not timeout.expired():
                timeout.reschedule(now)
