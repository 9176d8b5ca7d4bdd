"""How long what a pool awaits may take: until a deadline, or until the pool is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from lath.errors import CallCancelled, DeadlineExceeded


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
        self, deadline: float, limit_ms: int, work: Coroutine[Any, Any, None], where: str = ""
    ) -> None:
        """Awaits `work` until `deadline` (on the loop's clock), or until all is stopped.

        Args:
            deadline: When it must be done.
            limit_ms: The limit that the deadline follows from, for the message.
            work: What is awaited.
            where: What the time was spent on, for the message.

        Raises:
            DeadlineExceeded: The time is up.
            CallCancelled: All was stopped.
        """
        timeout = asyncio.timeout_at(deadline if not self._stopping else 0)
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
