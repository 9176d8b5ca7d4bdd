"""Bodies between a message and the stream that may follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

AHEAD_S: Final = 0.005
"""How long a message waits for the rest of a body. A body that is made at once goes in one message then; one
that is made bit by bit is held up by no more than this."""


async def _nothing() -> None:
    return None


class Ahead:
    """A body that is read ahead for a moment: `begin`, and what is left by iterating.

    Args:
        chunks: The body.
        close: What `aclose` calls too.
    """

    def __init__(self, chunks: AsyncIterator[bytes], close: Callable[[], Awaitable[None]] = _nothing) -> None:
        self._chunks = chunks
        self._close = close
        self._parts: list[bytes] = []
        self._enough = self._ended = False
        self._error: Exception | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is left."""
        return self._ended and not self._parts and self._error is None

    async def begin(self, bytes_max: int) -> bytes:
        """Returns what comes at once, up to `bytes_max`. What goes wrong is raised by iterating."""
        self._reading = asyncio.create_task(self._read(bytes_max), name="lath-ahead")
        try:
            await asyncio.wait([self._reading], timeout=AHEAD_S)
        except BaseException:
            await self.aclose()
            raise
        self._enough = True
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = [data[bytes_max:]] if len(data) > bytes_max else []
        return data[:bytes_max]

    async def _read(self, bytes_max: int) -> None:
        size = 0
        try:
            while size < bytes_max and not self._enough:
                chunk = await anext(self._chunks)
                self._parts.append(bytes(chunk))
                size += len(chunk)
        except StopAsyncIteration:
            self._ended = True
        except Exception as error:
            self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._reading is not None and not self._reading.done():
            await asyncio.wait([self._reading])
        if self._parts:
            return self._parts.pop(0)
        if self._error is not None:
            raise self._error
        if self._ended:
            raise StopAsyncIteration
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Wants no more of it."""
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await self._close()


class Continued:
    """A body that began in a message and goes on as a stream.

    Args:
        first: Its beginning.
        rest: What follows.
        ended: Called at its end, with nothing left; what it raises the reader gets.
        close: Called when its reader wants no more, and after it has ended or failed.
    """

    def __init__(
        self,
        first: bytes,
        rest: AsyncIterator[bytes],
        ended: Callable[[], object],
        close: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._first = first
        self._rest: AsyncIterator[bytes] | None = rest
        self._ended = ended
        self._close = close

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        if self._rest is None:
            raise StopAsyncIteration
        try:
            return await anext(self._rest)
        except StopAsyncIteration:
            self._rest = None
            try:
                self._ended()
            finally:
                await self._close()
            raise
        except Exception:
            await self._close()
            raise

    async def aclose(self) -> None:
        """Wants no more of it."""
        self._first, self._rest = b"", None
        await self._close()
