"""Objects in the memory of one provider instance, within a bound."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from lath.errors import Conflict, LimitExceeded
from lath.names import shown
from lath_providers.blobstore.backend import (
    Blob,
    ContainerInfo,
    ObjectId,
    ObjectInfo,
    no_such_container,
    no_such_object,
    part_of,
)
from lath_providers.blobstore.places import Places

CHUNK_BYTES: Final = 256 * 1024
"""In one piece of what is read."""
PAGE_NAMES_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    created_at: int


@dataclass(slots=True)
class _Container:
    created_at: int
    objects: dict[str, _Object] = field(default_factory=dict)


class Memory:
    """What all links of an instance keep in memory.

    Args:
        bytes_max: Of all objects together, those that are being written included.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes_used = 0
        self.containers: dict[tuple[str, str], _Container] = {}

    def take(self, size: int) -> None:
        """Counts bytes that come.

        Raises:
            LimitExceeded: There is no room for them.
        """
        if self.bytes_used + size > self.bytes_max:
            raise LimitExceeded(
                f"the memory of this provider is full: it holds {self.bytes_used} of {self.bytes_max} bytes"
            )
        self.bytes_used += size

    def give(self, size: int) -> None:
        """Counts bytes that go."""
        self.bytes_used -= size


class MemoryBackend:
    """The objects of one link. See `BlobBackend`.

    Args:
        memory: Where they are.
        places: Which of them are the link's.
    """

    def __init__(self, memory: Memory, places: Places) -> None:
        self._memory = memory
        self._places = places

    async def check(self) -> None:
        return

    async def close(self) -> None:
        return

    # --- containers ----------------------------------------------------------------------------------

    async def create_container(self, name: str) -> None:
        key = self._key(name)
        if key in self._memory.containers:
            raise Conflict(f"container {shown(name)} is there already")
        self._memory.containers[key] = _Container(_now())

    async def delete_container(self, name: str) -> None:
        await self.clear_container(name)
        del self._memory.containers[self._key(name)]

    async def container_exists(self, name: str) -> bool:
        return self._key(name) in self._memory.containers

    async def container_info(self, name: str) -> ContainerInfo:
        return ContainerInfo(name, self._container(name).created_at)

    async def clear_container(self, name: str) -> None:
        objects = self._container(name).objects
        self._memory.give(sum(len(each.data) for each in objects.values()))
        objects.clear()

    async def list_objects(self, container: str) -> AsyncIterator[Sequence[str]]:
        names = sorted(self._container(container).objects)
        for first in range(0, len(names), PAGE_NAMES_MAX):
            yield names[first : first + PAGE_NAMES_MAX]

    # --- objects -------------------------------------------------------------------------------------

    async def has_object(self, container: str, name: str) -> bool:
        return name in self._container(container).objects

    async def object_info(self, container: str, name: str) -> ObjectInfo:
        found = self._object(ObjectId(container, name))
        return ObjectInfo(container, name, found.created_at, len(found.data))

    async def get(self, container: str, name: str, start: int, end: int) -> Blob:
        data = self._object(ObjectId(container, name)).data
        first, size = part_of(len(data), start, end)
        return Blob(size, _pieces(data, first, size))

    async def put(self, container: str, name: str, data: AsyncIterator[bytes]) -> None:
        self._container(container)
        parts: list[bytes] = []
        taken = 0
        try:
            async for part in data:
                self._memory.take(len(part))
                taken += len(part)
                parts.append(part)
            self._store(container, name, b"".join(parts))
        finally:
            self._memory.give(taken)

    async def delete_objects(self, container: str, names: Sequence[str]) -> None:
        objects = self._container(container).objects
        for name in names:
            gone = objects.pop(name, None)
            if gone is not None:
                self._memory.give(len(gone.data))

    async def copy(self, source: ObjectId, to: ObjectId) -> None:
        data = self._object(source).data
        self._container(to.container)
        self._memory.take(len(data))
        self._memory.give(len(data))
        self._store(*to, data)

    async def move(self, source: ObjectId, to: ObjectId) -> None:
        await self.copy(source, to)
        if source != to:
            await self.delete_objects(source.container, [source.name])

    # --- inside --------------------------------------------------------------------------------------

    def _store(self, container: str, name: str, data: bytes) -> None:
        objects = self._container(container).objects
        replaced = objects.get(name)
        self._memory.bytes_used += len(data) - (0 if replaced is None else len(replaced.data))
        objects[name] = _Object(data, _now())

    def _key(self, name: str) -> tuple[str, str]:
        return ("" if name in self._places.shared else self._places.own, name)

    def _container(self, name: str) -> _Container:
        found = self._memory.containers.get(self._key(name))
        if found is None:
            raise no_such_container(name)
        return found

    def _object(self, wanted: ObjectId) -> _Object:
        found = self._container(wanted.container).objects.get(wanted.name)
        if found is None:
            raise no_such_object(*wanted)
        return found


async def _pieces(data: bytes, first: int, size: int) -> AsyncIterator[bytes]:
    for at in range(first, first + size, CHUNK_BYTES):
        yield data[at : min(at + CHUNK_BYTES, first + size)]


def _now() -> int:
    return int(time.time())
