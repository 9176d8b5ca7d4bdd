"""Objects in buckets of the NATS object store, a bucket for each container."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from lath.bus import Bus, jetstream
from lath.bus.jetstream import JetStreamError
from lath.errors import Unavailable
from lath_providers.blobstore.backend import (
    Blob,
    ContainerInfo,
    ObjectId,
    ObjectInfo,
    copy_through,
    move_through,
    no_such_container,
)
from lath_providers.blobstore.escape import Escape
from lath_providers.blobstore.places import Places
from lath_providers.blobstore_nats.asking import asking
from lath_providers.blobstore_nats.bucket import Bucket
from lath_providers.blobstore_nats.config import BlobstoreNatsConfig

DELETES_AT_ONCE_MAX: Final = 16
"""They hide the round trips, and a large batch does not flood the server."""

_CONTAINER: Final = Escape("A-Za-z0-9-", "_")


class NatsBackend:
    """The objects of one link. See `BlobBackend`.

    Args:
        bus: A connection of the link's own, closed with it.
        places: Which buckets are the link's.
        config: The link's.
    """

    def __init__(self, bus: Bus, places: Places, config: BlobstoreNatsConfig) -> None:
        self._bus = bus
        self._places = places
        self._config = config

    async def check(self) -> None:
        with asking(self._bus):
            try:
                await jetstream.call(self._bus, "INFO")
            except JetStreamError as e:
                raise Unavailable(f"{self._bus.url}: {e.message}") from e

    async def close(self) -> None:
        await self._bus.close()

    # --- containers ----------------------------------------------------------------------------------

    async def create_container(self, name: str) -> None:
        await self._bucket(name).create(self._config.replicas, self._config.storage)

    async def delete_container(self, name: str) -> None:
        await self._bucket(name).delete()

    async def container_exists(self, name: str) -> bool:
        return await self._bucket(name).created_at() is not None

    async def container_info(self, name: str) -> ContainerInfo:
        created_at = await self._bucket(name).created_at()
        if created_at is None:
            raise no_such_container(name)
        return ContainerInfo(name, created_at)

    async def clear_container(self, name: str) -> None:
        async for page in self._bucket(name).pages():
            await self.delete_objects(name, page)

    def list_objects(self, container: str) -> AsyncIterator[Sequence[str]]:
        return self._bucket(container).pages()

    # --- objects -------------------------------------------------------------------------------------

    async def has_object(self, container: str, name: str) -> bool:
        return await self._bucket(container).has(name)

    async def object_info(self, container: str, name: str) -> ObjectInfo:
        return await self._bucket(container).info(name)

    async def get(self, container: str, name: str, start: int, end: int) -> Blob:
        return await self._bucket(container).get(name, start, end)

    async def put(self, container: str, name: str, data: AsyncIterator[bytes]) -> None:
        await self._bucket(container).put(name, data)

    async def delete_objects(self, container: str, names: Sequence[str]) -> None:
        bucket = self._bucket(container)
        at_once = asyncio.Semaphore(DELETES_AT_ONCE_MAX)

        async def delete(name: str) -> None:
            async with at_once:
                await bucket.delete_object(name)

        await self.container_info(container)
        try:
            async with asyncio.TaskGroup() as tasks:
                for name in names:
                    tasks.create_task(delete(name))
        except ExceptionGroup as e:
            raise e.exceptions[0] from None

    async def copy(self, source: ObjectId, to: ObjectId) -> None:
        await copy_through(self, source, to)

    async def move(self, source: ObjectId, to: ObjectId) -> None:
        await move_through(self, source, to)

    # --- inside --------------------------------------------------------------------------------------

    def _bucket(self, container: str) -> Bucket:
        if container in self._places.shared:
            name = container
        else:
            name = f"lath-{self._places.own}-{_CONTAINER.encode(container)}"
        return Bucket(self._bus, name, container, self._config.chunk_bytes)
