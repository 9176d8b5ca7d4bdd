"""`ByteStream`: bytes that come piece by piece, and how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from lath.errors import Internal


class ByteStream:
    """Bytes that come piece by piece, as their reader asks for them: an async iterator of the pieces.

    Iterate it to its end, or close it. It ends only when all has come; whatever breaks it off is raised. One
    task at a time may read it.

    Args:
        chunks: The pieces, or all of it. Their `aclose` is called, where they have one, at the end, after a
            failure, and when the stream is closed.
        size: How many bytes there are, where that is known: other than so many is an error then.

    Attributes:
        size: How many bytes there are; None: not known.
        whole: All of it, where it is at hand and nothing was read yet.
        received: Bytes that have been read.
    """

    def __init__(self, chunks: AsyncIterator[bytes] | bytes, size: int | None = None) -> None:
        self.received = 0
        self.whole: bytes | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._reading: asyncio.Future[None] | None = None
        if isinstance(chunks, bytes | bytearray | memoryview):
            self.whole = bytes(chunks)
            if size is not None and size != len(self.whole):
                raise Internal(f"the stream is said to have {size} bytes, and has {len(self.whole)}")
            self.size: int | None = len(self.whole)
        else:
            self._chunks = chunks
            self.size = size

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.whole is not None:
            whole, self.whole = self.whole, None
            self.received = len(whole)
            if whole:
                return whole
        if self._chunks is None:
            raise StopAsyncIteration
        self._reading = asyncio.get_running_loop().create_future()
        try:
            chunk = await anext(self._chunks)
            self._count(len(chunk))
        except StopAsyncIteration:
            await self._end()
            if self.size is not None and self.received != self.size:
                raise Internal(f"the stream ended after {self.received} of {self.size} bytes") from None
            raise
        except BaseException:
            await self._end()
            raise
        finally:
            if not self._reading.done():
                self._reading.set_result(None)
            self._reading = None
        return chunk

    def _count(self, more: int) -> None:
        self.received += more
        if self.size is not None and self.received > self.size:
            raise Internal(f"the stream has more than the {self.size} bytes that it is said to have")

    async def _end(self) -> None:
        chunks, self._chunks = self._chunks, None
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()

    async def aclose(self) -> None:
        """Wants no more of it. Cancel a task that still reads it before. Closing twice is fine."""
        self.whole = None
        if self._reading is not None:
            await asyncio.wait([self._reading])
        await self._end()

    async def read(self) -> bytes:
        """All that is left of it. It is kept in memory."""
        return b"".join([chunk async for chunk in self])
