"""What tests of wasi:blobstore use: a container in a component's hands, and bytes that come bit by bit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final

import pytest

from lath.codec import Record, Resource
from lath.provider import OpError
from lath.testing.provider import Linked

BLOBSTORE: Final = "wasi:blobstore/blobstore"
CONTAINER: Final = "wasi:blobstore/container"
END: Final = 2**64 - 1
"""The last byte that a range may name: to the end of any object."""
CHUNK_BYTES: Final = 64 * 1024
MIB: Final = 1024 * 1024
NUMBERS: Final = "numbers"
AT_ONCE: Final = 32
"""Calls in flight where a test makes very many."""


class OpenContainer:
    """A container in a component's hands: `await container.write("name", b"value")`."""

    def __init__(self, linked: Linked, handle: Resource) -> None:
        self.linked = linked
        self.handle = handle

    async def write(self, name: str, data: bytes | AsyncIterator[bytes], *, timeout_ms: int = 60_000) -> None:
        await self._method("write-data", name, data, timeout_ms=timeout_ms)

    async def read(self, name: str, start: int = 0, end: int = END) -> bytes:
        """The bytes of a range, in whole."""
        stream = await self.stream(name, start, end)
        data: bytes = await stream.read()
        assert stream.size == len(data)
        return data

    async def stream(self, name: str, start: int = 0, end: int = END) -> Any:
        """The bytes of a range as they come."""
        return await self._method("get-data", name, start, end)

    async def names(self) -> list[str]:
        """The names of all objects, sorted."""
        return sorted([name async for name in await self.listing()])

    async def listing(self) -> Any:
        """The names as they come."""
        return await self._method("list-objects")

    async def has(self, name: str) -> bool:
        found: bool = await self._method("has-object", name)
        return found

    async def object_info(self, name: str) -> Any:
        return await self._method("object-info", name)

    async def info(self) -> Any:
        return await self._method("info")

    async def delete(self, name: str) -> None:
        await self._method("delete-object", name)

    async def delete_many(self, names: list[str]) -> None:
        await self._method("delete-objects", names, timeout_ms=60_000)

    async def clear(self) -> None:
        await self._method("clear", timeout_ms=60_000)

    async def _method(self, name: str, *args: Any, timeout_ms: int = 10_000) -> Any:
        function = f"[method]container.{name}"
        return await self.linked.call(CONTAINER, function, self.handle, *args, timeout_ms=timeout_ms)


class BreakOffError(Exception):
    """What a test's own stream breaks off with."""


async def create(linked: Linked, name: str) -> OpenContainer:
    """A new container."""
    return OpenContainer(linked, await linked.call(BLOBSTORE, "create-container", name))


async def exists(linked: Linked, name: str) -> bool:
    """Whether there is a container of that name."""
    found: bool = await linked.call(BLOBSTORE, "container-exists", name)
    return found


async def refusal(call: Any) -> str:
    """The words by which a call is refused."""
    with pytest.raises(OpError) as caught:
        await call
    assert isinstance(caught.value.payload, str)
    assert caught.value.payload
    return caught.value.payload


def object_id(container: str, name: str) -> Record:
    """The standard's record of that name."""
    return Record(container=container, object=name)


async def for_each(names: Iterable[str], do: Callable[[str], Awaitable[None]]) -> None:
    """Does something for each name, many at once."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with at_once:
            await do(name)

    await asyncio.gather(*(one(name) for name in names))


def pattern(at: int, size: int) -> bytes:
    """`size` bytes from the byte `at` on of an endless sequence in which no two places soon look the same."""
    first, last = at // 8, (at + size) // 8 + 1
    raw = b"".join(number.to_bytes(8, "big") for number in range(first, last))
    return raw[at % 8 : at % 8 + size]


async def stream_of(size: int) -> AsyncIterator[bytes]:
    """The first bytes of `pattern`."""
    for at in range(0, size, CHUNK_BYTES):
        yield pattern(at, min(CHUNK_BYTES, size - at))


async def in_small_chunks(value: bytes) -> AsyncIterator[bytes]:
    """A value, letting others run in between."""
    for at in range(0, len(value), 10_000):
        yield value[at : at + 10_000]
        await asyncio.sleep(0)


async def breaking_off(size: int) -> AsyncIterator[bytes]:
    """Bytes, and then an error."""
    async for chunk in stream_of(size):
        yield chunk
    raise BreakOffError("the writer broke off")


async def hanging(size: int, stuck: asyncio.Event) -> AsyncIterator[bytes]:
    """Bytes, and then nothing more; `stuck` says when."""
    async for chunk in stream_of(size):
        yield chunk
    stuck.set()
    await asyncio.Event().wait()


async def keep_number(linked: Linked, number: int) -> None:
    """Keeps a number as an object, for `BackendContract.write`."""
    if not await exists(linked, NUMBERS):
        with contextlib.suppress(OpError):  # another was faster
            await create(linked, NUMBERS)
    handle = await linked.call(BLOBSTORE, "get-container", NUMBERS)
    await OpenContainer(linked, handle).write(str(number), b"%d" % number)


async def kept_numbers(linked: Linked) -> set[int]:
    """The numbers that were kept, whole, for `BackendContract.written`."""
    container = OpenContainer(linked, await linked.call(BLOBSTORE, "get-container", NUMBERS))
    return {int(await container.read(name)) for name in await container.names()}
