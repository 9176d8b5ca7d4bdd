"""Streams of strings: packed into bytes on their way, and read from them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import msgpack

from lath.errors import Internal
from lath.streamed.values import ByteStream

_TOGETHER_MAX: Final = 256
_TOGETHER_BYTES_MAX: Final = 32 * 1024
"""Strings that are sent together: one message each would cost more than they do."""
_STRING_BYTES_MAX: Final = 1 << 20
"""One string; names are far shorter."""


class PackedStrings:
    """Strings as bytes, some at a time.

    Args:
        strings: Their `aclose` is called, where they have one, at the end and when this is closed.
    """

    def __init__(self, strings: AsyncIterator[str]) -> None:
        self._strings = strings
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        together: list[bytes] = []
        size = 0
        while len(together) < _TOGETHER_MAX and size < _TOGETHER_BYTES_MAX:
            try:
                together.append(_packed(await anext(self._strings)))
            except StopAsyncIteration:
                self._ended = True
                break
            size += len(together[-1])
        if not together:
            raise StopAsyncIteration
        return b"".join(together)

    async def aclose(self) -> None:
        """Wants no more of them."""
        self._ended = True
        close = getattr(self._strings, "aclose", None)
        if close is not None:
            await close()


def _packed(string: object) -> bytes:
    if not isinstance(string, str):
        raise Internal(f"expected a string, got {string!r:.80}")
    packed: bytes = msgpack.packb(string)
    return packed


class StringStream:
    """The strings of a stream: an async iterator. Iterate it to its end, or close it.

    Args:
        stream: Their bytes.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._strings: deque[str] = deque()
        self._unpacker = msgpack.Unpacker(max_str_len=_STRING_BYTES_MAX, max_buffer_size=0)
        self._fed = 0

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not self._strings:
            try:
                chunk = await anext(self._stream)
            except StopAsyncIteration:
                if self._unpacker.tell() != self._fed:
                    raise Internal("the stream of strings ended within one") from None
                raise
            self._take(chunk)
        return self._strings.popleft()

    def _take(self, chunk: bytes) -> None:
        self._unpacker.feed(chunk)
        self._fed += len(chunk)
        try:
            found: list[Any] = list(self._unpacker)
        except (ValueError, TypeError, msgpack.UnpackException) as e:
            raise Internal(f"the stream of strings is malformed: {e!r}") from None
        if not all(isinstance(each, str) for each in found):
            raise Internal("the stream of strings has something else in it")
        self._strings.extend(found)

    async def aclose(self) -> None:
        """Wants no more of it."""
        self._strings.clear()
        await self._stream.aclose()
