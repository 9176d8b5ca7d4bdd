"""Writes an object of any size to S3: at once where it is small, else in parts, which a failure deletes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import obstore
from obstore.store import S3Store

PARTS_AT_ONCE: Final = 2
"""One is on its way while the next one is being filled."""
TAKE_BACK_S: Final = 5.0
"""How long a cancelled write may take to delete its parts."""


async def upload(store: S3Store, key: str, data: AsyncIterator[bytes], part_bytes: int) -> None:
    """Writes what `data` gives under a key, once it has given all of it.

    Cancelled, or where `data` raises, it deletes the parts that it has written.

    Raises:
        Exception: What `data` raised, or what obstore raises.
    """
    first = bytearray()
    async for chunk in data:
        first += chunk
        if len(first) > part_bytes:
            break
    else:
        await obstore.put_async(store, key, bytes(first), use_multipart=False)
        return
    feed = _Feed(bytes(first), data)
    del first
    writing = asyncio.ensure_future(_in_parts(store, key, feed, part_bytes))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        # The client deletes its parts when its source fails, and not when it is cancelled.
        feed.break_off()
        await asyncio.wait({writing}, timeout=TAKE_BACK_S)
        writing.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await writing
        raise


async def _in_parts(store: S3Store, key: str, feed: _Feed, part_bytes: int) -> None:
    await obstore.put_async(
        store, key, feed, use_multipart=True, chunk_size=part_bytes, max_concurrency=PARTS_AT_ONCE
    )


class _BrokenOff(Exception):
    """Nobody wants the object any more."""


class _Feed(AsyncIterator[bytes]):
    """Bytes that can be broken off while they are waited for."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first = first
        self._rest = rest
        self._step: asyncio.Future[bytes] | None = None
        self._broken = False

    async def __anext__(self) -> bytes:
        if self._broken:
            raise _BrokenOff
        if self._first:
            first, self._first = self._first, b""
            return first
        self._step = asyncio.ensure_future(_next(self._rest))
        try:
            return await self._step
        except asyncio.CancelledError:
            if self._broken:
                raise _BrokenOff from None
            self._step.cancel()
            raise
        except _Ended:
            raise StopAsyncIteration from None

    def break_off(self) -> None:
        """Has the next step fail, and the one that is under way."""
        self._broken = True
        if self._step is not None:
            self._step.cancel()


class _Ended(Exception):
    """A task cannot raise StopAsyncIteration."""


async def _next(data: AsyncIterator[bytes]) -> bytes:
    try:
        return await anext(data)
    except StopAsyncIteration:
        raise _Ended from None
