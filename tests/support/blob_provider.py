"""`wasi:blobstore` in memory, small, which tests can slow down, break and watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from lath.codec import Record
from lath.provider import ByteStream, Call, Link, OpError, Provider, operation, resource

BLOBSTORE = "wasi:blobstore/blobstore"
CONTAINER = "wasi:blobstore/container"
PIECE_BYTES = 64 * 1024


@resource("container")
class Container:
    """A container in a component's hands."""

    name: str


@dataclass(eq=False)
class Watched:
    """What is known of the streams that go on.

    Attributes:
        reading: Streams that guests read.
        writing: Streams that guests write.
        pieces: Pieces that were given out.
        received: Bytes that came in.
        broken: What broke off those that came in.
        deadlines: What the last write was told, before and after its first piece.
    """

    reading: int = 0
    writing: int = 0
    pieces: int = 0
    received: int = 0
    broken: list[BaseException] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)


class Blobs(Provider):
    """Objects by container. Three names of objects have a meaning when they are read or written:

    `endless-N`: has N zeroes, made as they are read; `broken-N`: the same, and its last byte is never there;
    `hangs`: never begins. What is written to `discarded` is counted and not kept.

    Attributes:
        containers: What is stored.
        watched: What goes on.
        write_may_go_on: Cleared, writes wait before each piece.
        refuse_after: A write fails after so many bytes.
    """

    resources = (Container,)

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, bytes]] = {}
        self.watched = Watched()
        self.write_may_go_on = asyncio.Event()
        self.write_may_go_on.set()
        self.refuse_after: int | None = None
        self.closed_links = 0

    async def close_link(self, link: Link, held: None) -> None:
        self.closed_links += 1

    def _objects(self, name: str) -> dict[str, bytes]:
        if name not in self.containers:
            raise OpError(f"there is no container {name}")
        return self.containers[name]

    def _object(self, container: str, name: str) -> bytes:
        objects = self._objects(container)
        if name not in objects:
            raise OpError(f"there is no object {name} in {container}")
        return objects[name]

    @operation(BLOBSTORE)
    async def create_container(self, call: Call[None], name: str) -> Container:
        self.containers.setdefault(name, {})
        return Container(name)

    @operation(BLOBSTORE)
    async def get_container(self, call: Call[None], name: str) -> Container:
        self._objects(name)
        return Container(name)

    @operation(BLOBSTORE)
    async def delete_container(self, call: Call[None], name: str) -> None:
        self.containers.pop(name, None)

    @operation(BLOBSTORE)
    async def container_exists(self, call: Call[None], name: str) -> bool:
        return name in self.containers

    @operation(BLOBSTORE)
    async def copy_object(self, call: Call[None], src: Record, dest: Record) -> None:
        self._objects(dest.container)[dest.object] = self._object(src.container, src.object)

    @operation(BLOBSTORE)
    async def move_object(self, call: Call[None], src: Record, dest: Record) -> None:
        await self.copy_object(call, src, dest)
        del self._objects(src.container)[src.object]

    @operation(CONTAINER, "[method]container.name")
    async def name(self, call: Call[None], container: Container) -> str:
        self._objects(container.name)
        return container.name

    @operation(CONTAINER, "[method]container.info")
    async def info(self, call: Call[None], container: Container) -> dict[str, Any]:
        self._objects(container.name)
        return {"name": container.name, "created_at": 1}

    @operation(CONTAINER, "[method]container.get-data")
    async def get_data(
        self, call: Call[None], container: Container, name: str, start: int, end: int
    ) -> ByteStream:
        kind, _, digits = name.partition("-")
        if name == "hangs":
            await asyncio.Event().wait()
        if kind in ("endless", "broken"):
            size = int(digits)
            return ByteStream(self._made(size, size - (kind == "broken")), size)
        data = self._object(container.name, name)[start : end + 1]
        return ByteStream(self._made_of(data), len(data))

    async def _made(self, size: int, ends_at: int) -> AsyncIterator[bytes]:
        piece = bytes(PIECE_BYTES)
        self.watched.reading += 1
        try:
            given = 0
            while given < ends_at:
                some = piece[: ends_at - given]
                given += len(some)
                self.watched.pieces += 1
                yield some
            if ends_at < size:
                raise OSError("the disk is on fire")
        finally:
            self.watched.reading -= 1

    async def _made_of(self, data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), PIECE_BYTES):
            yield data[at : at + PIECE_BYTES]

    @operation(CONTAINER, "[method]container.write-data")
    async def write_data(self, call: Call[None], container: Container, name: str, data: ByteStream) -> None:
        objects = self._objects(container.name)
        watched = self.watched
        watched.writing += 1
        watched.deadlines = [call.ms_left]
        pieces: list[bytes] = []
        try:
            await self.write_may_go_on.wait()
            async for piece in data:
                watched.deadlines = [watched.deadlines[0], call.ms_left]
                watched.received += len(piece)
                if self.refuse_after is not None and watched.received > self.refuse_after:
                    raise OpError("the disk is full")
                if name != "discarded":
                    pieces.append(piece)
                await self.write_may_go_on.wait()
            objects[name] = b"".join(pieces)
        except BaseException as error:
            watched.broken.append(error)
            raise
        finally:
            watched.writing -= 1

    @operation(CONTAINER, "[method]container.list-objects")
    async def list_objects(self, call: Call[None], container: Container) -> AsyncIterator[str]:
        return self._names(sorted(self._objects(container.name)))

    async def _names(self, names: list[str]) -> AsyncIterator[str]:
        self.watched.reading += 1
        try:
            for name in names:
                self.watched.pieces += 1
                yield name
        finally:
            self.watched.reading -= 1

    @operation(CONTAINER, "[method]container.delete-object")
    async def delete_object(self, call: Call[None], container: Container, name: str) -> None:
        self._objects(container.name).pop(name, None)

    @operation(CONTAINER, "[method]container.delete-objects")
    async def delete_objects(self, call: Call[None], container: Container, names: list[str]) -> None:
        for name in names:
            self._objects(container.name).pop(name, None)

    @operation(CONTAINER, "[method]container.has-object")
    async def has_object(self, call: Call[None], container: Container, name: str) -> bool:
        return name in self._objects(container.name)

    @operation(CONTAINER, "[method]container.object-info")
    async def object_info(self, call: Call[None], container: Container, name: str) -> dict[str, Any]:
        data = self._object(container.name, name)
        return {"name": name, "container": container.name, "created_at": 1, "size": len(data)}

    @operation(CONTAINER, "[method]container.clear")
    async def clear(self, call: Call[None], container: Container) -> None:
        self._objects(container.name).clear()
