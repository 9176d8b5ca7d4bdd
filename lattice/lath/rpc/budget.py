"""A semaphore counted in bytes, first come first served: small requests never starve a large one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class ByteBudget:
    """At most `bytes_max` are out at any time; who asks for more than that gets all of it, alone."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._free = bytes_max
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used_bytes(self) -> int:
        return self.bytes_max - self._free

    async def acquire(self, size_bytes: int) -> int:
        """Waits for room and takes it. Returns what must be given to `release`."""
        size = min(size_bytes, self.bytes_max)
        if not self._waiting and self._free >= size:
            self._free -= size
            return size
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size, waiter)
        self._waiting.append(entry)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(size)
            else:
                self._waiting.remove(entry)
                self._wake()
            raise
        return size

    def release(self, size_bytes: int) -> None:
        self._free += size_bytes
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, waiter = self._waiting.popleft()
            if not waiter.done():
                self._free -= size
                waiter.set_result(None)

    @contextlib.asynccontextmanager
    async def reserved(self, size_bytes: int) -> AsyncIterator[None]:
        """Holds room for `size_bytes` inside the `async with` block."""
        size = await self.acquire(size_bytes)
        try:
            yield
        finally:
            self.release(size)
