"""What a backend of wasi:blobstore does: `BlobBackend`, one for each link.

Names are the component's own; the backend knows where they lead (`lath_providers.blobstore.places`). Failures
are errors of `lath.errors` in words that a component can show, and `lath.provider.BackendLost` where no
call of the link can go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from lath.errors import InvalidArgument, NotFound
from lath.names import shown

CONTAINER_NAME_BYTES_MAX: Final = 63
"""Of UTF-8. Escaped, it still fits the name of a folder and of a stream on any backend."""
OBJECT_NAME_BYTES_MAX: Final = 1_024
"""Of UTF-8: what S3 takes as a key, and more than enough for the others."""


class ObjectId(NamedTuple):
    """Names an object."""

    container: str
    name: str


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """What is known of a container. Times are seconds since the beginning of 1970."""

    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object. Times are seconds since the beginning of 1970, sizes are bytes."""

    container: str
    name: str
    created_at: int
    size: int


@dataclass(frozen=True, slots=True)
class Blob:
    """An object, or a part of one, that is being read.

    Attributes:
        size: The bytes that come.
        chunks: The bytes, in pieces of no particular size. Closed by its reader with `aclose`, also where it
            was not read to the end, or at all.
    """

    size: int
    chunks: AsyncIterator[bytes]


class BlobBackend(Protocol):
    """Containers and their objects, as one link sees them. Any number of calls may run at once.

    Raises (each of them):
        NotFound: There is no such container, or object.
        InvalidArgument: The backend cannot have such a name.
        LathError: It refused, or gave no answer in time.
        BackendLost: It is gone.
    """

    async def check(self) -> None:
        """Asks the backend something cheap."""

    async def close(self) -> None:
        """Lets go of its connections and files."""

    async def create_container(self, name: str) -> None:
        """Makes a container, empty. One of that name that is there is a `Conflict`."""

    async def delete_container(self, name: str) -> None:
        """Deletes a container with all that is in it."""

    async def container_exists(self, name: str) -> bool:
        """Whether there is such a container."""

    async def container_info(self, name: str) -> ContainerInfo:
        """What is known of a container."""

    async def clear_container(self, name: str) -> None:
        """Deletes the objects that are in a container now."""

    def list_objects(self, container: str) -> AsyncIterator[Sequence[str]]:
        """The names of a container's objects, page by page, a page at a time in memory.

        An object that is there all the while comes once at least. The first step tells what is wrong.
        """

    async def has_object(self, container: str, name: str) -> bool:
        """Whether there is such an object."""

    async def object_info(self, container: str, name: str) -> ObjectInfo:
        """What is known of an object."""

    async def get(self, container: str, name: str, start: int, end: int) -> Blob:
        """The bytes of an object from `start` to `end`, both included.

        What lies past the last byte is left out, so a `start` there gives nothing. The bytes are those of one
        object as it was when this returned, or reading them fails.
        """

    async def put(self, container: str, name: str, data: AsyncIterator[bytes]) -> None:
        """Writes an object, in place of one that may be there.

        It is whole and there to stay when this returns. Where `data` raises, or this is cancelled, nothing
        has changed. Of several writers of one name the last one wins, whole.
        """

    async def delete_objects(self, container: str, names: Sequence[str]) -> None:
        """Deletes objects; those that are not there are no error."""

    async def copy(self, source: ObjectId, to: ObjectId) -> None:
        """Copies an object, in place of one that may be there."""

    async def move(self, source: ObjectId, to: ObjectId) -> None:
        """Copies an object and then deletes it where it was; the backend says whether both happen at once."""


def check_container_name(name: str) -> str:
    """Returns `name` when a container may be so called.

    Raises:
        InvalidArgument: It is empty, too long, or not valid Unicode.
    """
    if not name:
        raise InvalidArgument("the name of a container is empty")
    return _bounded("container", name, CONTAINER_NAME_BYTES_MAX)


def check_object_name(name: str) -> str:
    """Returns `name` when an object may be so called: anything, the empty name included.

    Raises:
        InvalidArgument: It is too long, or not valid Unicode.
    """
    return _bounded("object", name, OBJECT_NAME_BYTES_MAX)


def no_such_container(name: str) -> NotFound:
    """There is none of that name."""
    return NotFound(f"there is no container {shown(name)}")


def no_such_object(container: str, name: str) -> NotFound:
    """There is none of that name in that container."""
    return NotFound(f"there is no object {shown(name)} in container {shown(container)}")


async def copy_through(backend: BlobBackend, source: ObjectId, to: ObjectId) -> None:
    """Copies by reading and writing, for a backend that cannot by itself."""
    blob = await backend.get(source.container, source.name, 0, 2**64 - 1)
    try:
        await backend.put(to.container, to.name, blob.chunks)
    finally:
        await close(blob.chunks)


async def move_through(backend: BlobBackend, source: ObjectId, to: ObjectId) -> None:
    """Copies, then deletes: where it breaks off in between, both are there."""
    if source == to:
        await backend.object_info(*source)
        return
    await backend.copy(source, to)
    await backend.delete_objects(source.container, [source.name])


async def close(chunks: AsyncIterator[Any]) -> None:
    """Closes what was read, whether or not it was read to its end."""
    aclose = getattr(chunks, "aclose", None)
    if aclose is not None:
        await aclose()


def part_of(size: int, start: int, end: int) -> tuple[int, int]:
    """The first byte and the number of bytes that `start` to `end`, both included, take of `size` bytes.

    Raises:
        InvalidArgument: It begins after its end.
    """
    if start > end:
        raise InvalidArgument(f"the range begins at byte {start}, after its end at byte {end}")
    first = min(start, size)
    return first, min(end + 1, size) - first


def _bounded(what: str, name: str, bytes_max: int) -> str:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"the name of {what} {shown(name)} is not valid Unicode text") from None
    if length > bytes_max:
        raise InvalidArgument(f"the name of the {what} takes {length} bytes; it may take {bytes_max}")
    return name
