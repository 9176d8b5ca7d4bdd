"""Objects as files: written beside and renamed into place, read through descriptors that stay theirs."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from lath.errors import Unavailable
from lath_providers.blobstore.backend import (
    Blob,
    ContainerInfo,
    ObjectId,
    ObjectInfo,
    copy_through,
    part_of,
)
from lath_providers.blobstore_fs.threads import Threads
from lath_providers.blobstore_fs.tree import Tree

CHUNK_BYTES: Final = 256 * 1024
"""Read and written at once: large enough that changing threads costs little beside it."""
PAGE_NAMES_MAX: Final = 1_000


class FsBackend:
    """The objects of one link. See `BlobBackend`.

    Args:
        tree: Where they are.
        threads: What its calls are made in.
    """

    def __init__(self, tree: Tree, threads: Threads) -> None:
        self._tree = tree
        self._threads = threads

    async def check(self) -> None:
        await self._threads.run(self._tree.check)

    async def close(self) -> None:
        return  # nothing stays open between calls

    # --- containers ----------------------------------------------------------------------------------

    async def create_container(self, name: str) -> None:
        await self._threads.run(self._tree.create_container, name)

    async def delete_container(self, name: str) -> None:
        await self._threads.run(self._tree.delete_container, name)

    async def container_exists(self, name: str) -> bool:
        return await self._threads.run(self._tree.container_exists, name)

    async def container_info(self, name: str) -> ContainerInfo:
        return await self._threads.run(self._tree.container_info, name)

    async def clear_container(self, name: str) -> None:
        async for page in self.list_objects(name):
            await self.delete_objects(name, page)

    async def list_objects(self, container: str) -> AsyncIterator[Sequence[str]]:
        names = self._tree.names(container)
        try:
            while page := await self._threads.run(_page, names):
                yield page
        finally:
            await self._threads.run(_close, names)

    # --- objects -------------------------------------------------------------------------------------

    async def has_object(self, container: str, name: str) -> bool:
        return await self._threads.run(self._tree.has_object, container, name)

    async def object_info(self, container: str, name: str) -> ObjectInfo:
        return await self._threads.run(self._tree.object_info, container, name)

    async def get(self, container: str, name: str, start: int, end: int) -> Blob:
        part_of(0, start, end)  # refused before anything is opened
        reading = Reading(self._tree, self._threads)
        try:
            size = await self._threads.run(reading.open, ObjectId(container, name), start, end)
        except BaseException:
            await reading.aclose()
            raise
        return Blob(size, reading)

    async def put(self, container: str, name: str, data: AsyncIterator[bytes]) -> None:
        writing = Writing(self._tree, ObjectId(container, name))
        waiting = bytearray()
        try:
            await self._threads.run(writing.begin)
            async for chunk in data:
                waiting += chunk
                if len(waiting) >= CHUNK_BYTES:
                    await self._threads.run(writing.write, waiting)
                    waiting = bytearray()
            await self._threads.run(writing.write, waiting)
            await self._threads.run(writing.commit)
        finally:
            await self._threads.run(writing.end)

    async def delete_objects(self, container: str, names: Sequence[str]) -> None:
        await self._threads.run(self._tree.delete_objects, container, names)

    async def copy(self, source: ObjectId, to: ObjectId) -> None:
        await copy_through(self, source, to)

    async def move(self, source: ObjectId, to: ObjectId) -> None:
        await self._threads.run(self._tree.move, source, to)


class Reading(AsyncIterator[bytes]):
    """A part of an object's file, read through a descriptor of its own: it stays what it was."""

    def __init__(self, tree: Tree, threads: Threads) -> None:
        self._tree = tree
        self._threads = threads
        self._fd = -1
        self._at = self._left = 0

    def open(self, wanted: ObjectId, start: int, end: int) -> int:
        """Opens the file, and returns how many bytes of it are asked for. Blocks."""
        self._fd = self._tree.open_object(*wanted)
        self._at, self._left = part_of(os.fstat(self._fd).st_size, start, end)
        return self._left

    async def __anext__(self) -> bytes:
        if not self._left:
            await self.aclose()
            raise StopAsyncIteration
        chunk = await self._threads.run(self._tree.read, self._fd, min(CHUNK_BYTES, self._left), self._at)
        if not chunk:
            raise Unavailable("the file was cut while it was read")
        self._at += len(chunk)
        self._left -= len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Closes the file."""
        fd, self._fd = self._fd, -1
        self._left = 0
        if fd >= 0:
            await self._threads.run(os.close, fd)


class Writing:
    """An object that is being written, in a file of its own. Every call blocks."""

    def __init__(self, tree: Tree, target: ObjectId) -> None:
        self._tree = tree
        self._target = target
        self._name = secrets.token_hex(16)
        self._fd = -1

    def begin(self) -> None:
        """Makes the file."""
        self._fd = self._tree.begin(self._target.container, self._name)

    def write(self, data: bytearray) -> None:
        """Appends to it."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tree.write(self._fd, rest) :]

    def commit(self) -> None:
        """Makes it the object, and has it on disk."""
        self._tree.commit(self._name, self._fd, *self._target)
        self._name = ""

    def end(self) -> None:
        """Closes it, and deletes it where it has not become the object."""
        if self._fd >= 0:
            os.close(self._fd)
            if self._name:
                self._tree.abandon(self._name)


def _page(names: Iterator[str]) -> list[str]:
    return list(itertools.islice(names, PAGE_NAMES_MAX))


def _close(names: Iterator[str]) -> None:
    close = getattr(names, "close", None)
    if close is not None:
        close()
