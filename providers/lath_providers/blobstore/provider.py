"""`BlobstoreProvider`: the operations of wasi:blobstore over a `BlobBackend` for each link."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager

from lath.codec import Record
from lath.errors import LathError
from lath.provider import ByteStream, Call, Link, OpError, Provider, operation, resource
from lath_providers.blobstore.backend import (
    BlobBackend,
    ObjectId,
    check_container_name,
    check_object_name,
    close,
    no_such_container,
)

BLOBSTORE = "wasi:blobstore/blobstore@0.2.0-draft"
CONTAINER = "wasi:blobstore/container@0.2.0-draft"


@resource("container")
class Container:
    """A container in a component's hands: its name, from which any instance finds it again."""

    name: str


class BlobstoreProvider(Provider):
    """wasi:blobstore. A subclass defines `open_link`, which returns the link's `BlobBackend`.

    Errors of the backend are the `err` of the standard's results, in words; `BackendLost` fails the link.
    """

    resources = (Container,)

    async def open_link(self, link: Link) -> BlobBackend:
        """The backend of a link. To be defined."""
        raise TypeError(f"{type(self).__name__} defines no open_link(self, link) that returns a BlobBackend")

    async def close_link(self, link: Link, backend: BlobBackend) -> None:
        await backend.close()

    async def check_link(self, link: Link, backend: BlobBackend) -> None:
        await backend.check()

    # --- wasi:blobstore/blobstore --------------------------------------------------------------------

    @operation(BLOBSTORE)
    async def create_container(self, call: Call[BlobBackend], name: str) -> Container:
        with _told():
            await call.held.create_container(check_container_name(name))
        return Container(name)

    @operation(BLOBSTORE)
    async def get_container(self, call: Call[BlobBackend], name: str) -> Container:
        with _told():
            if not await call.held.container_exists(check_container_name(name)):
                raise no_such_container(name)
        return Container(name)

    @operation(BLOBSTORE)
    async def delete_container(self, call: Call[BlobBackend], name: str) -> None:
        with _told():
            await call.held.delete_container(check_container_name(name))

    @operation(BLOBSTORE)
    async def container_exists(self, call: Call[BlobBackend], name: str) -> bool:
        with _told():
            return await call.held.container_exists(check_container_name(name))

    @operation(BLOBSTORE)
    async def copy_object(self, call: Call[BlobBackend], src: Record, dest: Record) -> None:
        with _told():
            await call.held.copy(_object_id(src), _object_id(dest))

    @operation(BLOBSTORE)
    async def move_object(self, call: Call[BlobBackend], src: Record, dest: Record) -> None:
        with _told():
            await call.held.move(_object_id(src), _object_id(dest))

    # --- wasi:blobstore/container --------------------------------------------------------------------

    @operation(CONTAINER, "[method]container.name")
    async def name(self, call: Call[BlobBackend], container: Container) -> str:
        return container.name

    @operation(CONTAINER, "[method]container.info")
    async def info(self, call: Call[BlobBackend], container: Container) -> Record:
        with _told():
            info = await call.held.container_info(container.name)
        return Record(name=info.name, created_at=info.created_at)

    @operation(CONTAINER, "[method]container.get-data")
    async def get_data(
        self, call: Call[BlobBackend], container: Container, name: str, start: int, end: int
    ) -> ByteStream:
        with _told():
            blob = await call.held.get(container.name, check_object_name(name), start, end)
        return ByteStream(_Read(blob.chunks), blob.size)

    @operation(CONTAINER, "[method]container.write-data")
    async def write_data(
        self, call: Call[BlobBackend], container: Container, name: str, data: ByteStream
    ) -> None:
        given = _Given(data)
        try:
            with _told():
                await call.held.put(container.name, check_object_name(name), given)
        except OpError:
            if given.error is not None:  # what the writer's side said, not what the backend made of it
                raise given.error from None
            raise

    @operation(CONTAINER, "[method]container.list-objects")
    async def list_objects(self, call: Call[BlobBackend], container: Container) -> AsyncIterator[str]:
        return _names(call.held, container.name)

    @operation(CONTAINER, "[method]container.delete-object")
    async def delete_object(self, call: Call[BlobBackend], container: Container, name: str) -> None:
        with _told():
            await call.held.delete_objects(container.name, [check_object_name(name)])

    @operation(CONTAINER, "[method]container.delete-objects")
    async def delete_objects(self, call: Call[BlobBackend], container: Container, names: list[str]) -> None:
        with _told():
            await call.held.delete_objects(container.name, [check_object_name(name) for name in names])

    @operation(CONTAINER, "[method]container.has-object")
    async def has_object(self, call: Call[BlobBackend], container: Container, name: str) -> bool:
        with _told():
            return await call.held.has_object(container.name, check_object_name(name))

    @operation(CONTAINER, "[method]container.object-info")
    async def object_info(self, call: Call[BlobBackend], container: Container, name: str) -> Record:
        with _told():
            info = await call.held.object_info(container.name, check_object_name(name))
        return Record(name=info.name, container=info.container, created_at=info.created_at, size=info.size)

    @operation(CONTAINER, "[method]container.clear")
    async def clear(self, call: Call[BlobBackend], container: Container) -> None:
        with _told():
            await call.held.clear_container(container.name)


class _Given(AsyncIterator[bytes]):
    """The bytes that a caller gives, and the error by which they broke off, if they did."""

    def __init__(self, data: AsyncIterable[bytes]) -> None:
        self.error: LathError | None = None
        self._data = aiter(data)

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._data)
        except LathError as e:
            self.error = e
            raise


class _Read(AsyncIterator[bytes]):
    """The bytes of a backend; no generator, since one that was never begun would not close them."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except LathError as e:
            raise OpError(e.message) from e

    async def aclose(self) -> None:
        await close(self._chunks)


async def _names(backend: BlobBackend, container: str) -> AsyncIterator[str]:
    pages = backend.list_objects(container)
    try:
        with _told():
            async for page in pages:
                for name in page:
                    yield name
    finally:
        await close(pages)


def _object_id(record: Record) -> ObjectId:
    return ObjectId(check_container_name(record.container), check_object_name(record.object))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except LathError as e:
        raise OpError(e.message) from e
