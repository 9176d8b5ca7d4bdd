"""Objects in a bucket of S3. A container is a part of the bucket: what has its name before the slash."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

import obstore
from obstore.store import S3Store

from lath.errors import Conflict, LathError, NotFound
from lath.names import shown
from lath.provider import BackendLost
from lath_providers.blobstore.backend import (
    Blob,
    ContainerInfo,
    ObjectId,
    ObjectInfo,
    copy_through,
    move_through,
    no_such_container,
    no_such_object,
    part_of,
)
from lath_providers.blobstore_s3.asking import asking
from lath_providers.blobstore_s3.keys import Keys
from lath_providers.blobstore_s3.upload import upload

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta

CHUNK_BYTES: Final = 256 * 1024
"""In one piece of what is read, or a little more."""
PAGE_NAMES_MAX: Final = 1_000
"""What S3 lists, and deletes, in one request."""
COPY_BYTES_MAX: Final = 5 * 1024**3
"""S3 copies no larger object in one request; such a one is read and written."""
OFFSET_MAX: Final = 2**63 - 1
"""What servers read as the end of a range; no object is that large."""


class S3Backend:
    """The objects of one link. See `BlobBackend`.

    Args:
        store: A client of its own, with its connections.
        keys: Where they are.
        endpoint: Names the server in messages.
        part_bytes: Of an object that is written in parts.
    """

    def __init__(self, store: S3Store, keys: Keys, endpoint: str, part_bytes: int) -> None:
        self._client: S3Store | None = store
        self._keys = keys
        self._endpoint = endpoint
        self._part_bytes = part_bytes

    async def check(self) -> None:
        try:
            with self._asking():
                stream = obstore.list(self._store, self._keys.folder("check"), chunk_size=1)
                await anext(aiter(stream), None)
        except NotFound as e:
            bucket = self._store.config.get("bucket")
            raise NotFound(f"bucket: there is no bucket {bucket!r}: make it first ({e.message})") from e

    async def close(self) -> None:
        self._client = None  # the last one that holds it: its connections are closed

    # --- containers ----------------------------------------------------------------------------------

    async def create_container(self, name: str) -> None:
        if await self.container_exists(name):
            raise Conflict(f"container {shown(name)} is there already")
        with self._asking():
            await obstore.put_async(self._store, self._keys.created(name), b"", use_multipart=False)

    async def delete_container(self, name: str) -> None:
        await self.clear_container(name)
        with self._asking():
            await obstore.delete_async(self._store, [self._keys.created(name)])

    async def container_exists(self, name: str) -> bool:
        return await self._marker(name) is not None or await self._holds_any(name)

    async def container_info(self, name: str) -> ContainerInfo:
        marker = await self._marker(name)
        if marker is None and not await self._holds_any(name):
            raise no_such_container(name)
        return ContainerInfo(name, 0 if marker is None else int(marker["last_modified"].timestamp()))

    async def clear_container(self, name: str) -> None:
        async for page in self.list_objects(name):
            await self.delete_objects(name, page)

    async def list_objects(self, container: str) -> AsyncIterator[Sequence[str]]:
        folder = self._keys.folder(container)
        found = False
        with self._asking():
            stream = aiter(obstore.list(self._store, folder, chunk_size=PAGE_NAMES_MAX))
        while True:
            with self._asking():
                page = await anext(stream, None)
            if page is None:
                break
            found = True
            names = [self._keys.name(container, each["path"]) for each in page]
            if present := [name for name in names if name is not None]:
                yield present
        if not found:
            raise no_such_container(container)

    # --- objects -------------------------------------------------------------------------------------

    async def has_object(self, container: str, name: str) -> bool:
        if await self._head(self._keys.key(container, name)) is not None:
            return True
        await self._need(container)
        return False

    async def object_info(self, container: str, name: str) -> ObjectInfo:
        meta = await self._head(self._keys.key(container, name))
        if meta is None:
            await self._need(container)
            raise no_such_object(container, name)
        return ObjectInfo(container, name, int(meta["last_modified"].timestamp()), meta["size"])

    async def get(self, container: str, name: str, start: int, end: int) -> Blob:
        part_of(0, start, end)  # refused before anything is asked
        try:
            result = await self._got(self._keys.key(container, name), start, end)
        except FileNotFoundError:
            await self._need(container)
            raise no_such_object(container, name) from None
        except LathError:
            # A range that has nothing of the object is refused; here it is empty.
            info = await self.object_info(container, name)
            if part_of(info.size, start, end)[1]:
                raise
            return Blob(0, _nothing())
        first, beyond = result.range
        return Blob(beyond - first, self._chunks(result))

    async def put(self, container: str, name: str, data: AsyncIterator[bytes]) -> None:
        key = self._keys.key(container, name)
        await self._need(container)
        with self._asking():
            await upload(self._store, key, data, self._part_bytes)

    async def delete_objects(self, container: str, names: Sequence[str]) -> None:
        await self._need(container)
        keys = [self._keys.key(container, name) for name in names]
        for at in range(0, len(keys), PAGE_NAMES_MAX):
            with self._asking():
                await obstore.delete_async(self._store, keys[at : at + PAGE_NAMES_MAX])

    async def copy(self, source: ObjectId, to: ObjectId) -> None:
        info = await self.object_info(*source)
        await self._need(to.container)
        if source == to:
            return
        if info.size > COPY_BYTES_MAX:
            await copy_through(self, source, to)
            return
        with self._asking():
            await obstore.copy_async(self._store, self._keys.key(*source), self._keys.key(*to))

    async def move(self, source: ObjectId, to: ObjectId) -> None:
        await move_through(self, source, to)

    # --- inside --------------------------------------------------------------------------------------

    @property
    def _store(self) -> S3Store:
        if self._client is None:
            raise BackendLost("the link was closed", may_have_run=False)
        return self._client

    def _asking(self) -> AbstractContextManager[None]:
        return asking(self._endpoint)

    async def _got(self, key: str, start: int, end: int) -> GetResult:
        with self._asking():
            if end < OFFSET_MAX:
                return await obstore.get_async(self._store, key, options={"range": (start, end + 1)})
            if start:
                at = min(start, OFFSET_MAX)
                return await obstore.get_async(self._store, key, options={"range": {"offset": at}})
            return await obstore.get_async(self._store, key)

    async def _chunks(self, result: GetResult) -> AsyncIterator[bytes]:
        stream = aiter(result.stream(min_chunk_size=CHUNK_BYTES))
        while True:
            with self._asking():
                chunk = await anext(stream, None)
            if chunk is None:
                return
            yield bytes(chunk)

    async def _head(self, key: str) -> ObjectMeta | None:
        try:
            with self._asking():
                return await obstore.head_async(self._store, key)
        except FileNotFoundError:
            return None

    async def _marker(self, container: str) -> ObjectMeta | None:
        return await self._head(self._keys.created(container))

    async def _holds_any(self, container: str) -> bool:
        """Whether there are objects, which somebody else may have put there without a marker."""
        with self._asking():
            stream = obstore.list(self._store, self._keys.folder(container), chunk_size=1)
            return await anext(aiter(stream), None) is not None

    async def _need(self, container: str) -> None:
        if not await self.container_exists(container):
            raise no_such_container(container)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
