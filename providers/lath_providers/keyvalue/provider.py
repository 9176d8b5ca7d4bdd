"""The operations of wasi:keyvalue (store, atomics, batch), over the stores of a backend."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from lath.codec import Record, Variant
from lath.errors import LathError
from lath.provider import Call, OpError, Provider, operation, resource
from lath_providers.keyvalue.store import Store

STORE = "wasi:keyvalue/store@0.2.0-draft"
ATOMICS = "wasi:keyvalue/atomics@0.2.0-draft"
BATCH = "wasi:keyvalue/batch@0.2.0-draft"

T = TypeVar("T")


@resource("bucket")
class Bucket:
    """A bucket in a component's hands: its identifier, from which any instance finds it again."""

    identifier: str


class KeyValueProvider(Provider):
    """wasi:keyvalue. A subclass opens links, and finds the store of an identifier."""

    resources = (Bucket,)

    @abstractmethod
    async def find(self, held: Any, identifier: str) -> Store:
        """The bucket that a component opens by `identifier`, with what its link holds.

        Raises:
            OpError: The link allows no such bucket; see `no_such_store`.
        """

    # --- wasi:keyvalue/store -------------------------------------------------------------------------

    @operation(STORE)
    async def open(self, call: Call[Any], identifier: str) -> Bucket:
        try:
            await self.find(call.held, identifier)
        except LathError as e:
            raise OpError(Variant("other", e.message)) from e
        return Bucket(identifier)

    @operation(STORE, "[method]bucket.get")
    async def get(self, call: Call[Any], bucket: Bucket, key: str) -> bytes | None:
        return await self._at(call, bucket, lambda store: store.get(key))

    @operation(STORE, "[method]bucket.set")
    async def set(self, call: Call[Any], bucket: Bucket, key: str, value: bytes) -> None:
        await self._at(call, bucket, lambda store: store.set(key, value))

    @operation(STORE, "[method]bucket.delete")
    async def delete(self, call: Call[Any], bucket: Bucket, key: str) -> None:
        await self._at(call, bucket, lambda store: store.delete(key))

    @operation(STORE, "[method]bucket.exists")
    async def exists(self, call: Call[Any], bucket: Bucket, key: str) -> bool:
        return await self._at(call, bucket, lambda store: store.exists(key))

    @operation(STORE, "[method]bucket.list-keys")
    async def list_keys(self, call: Call[Any], bucket: Bucket, cursor: int | None) -> Record:
        keys, following = await self._at(call, bucket, lambda store: store.page(cursor))
        return Record(keys=keys, cursor=following)

    # --- wasi:keyvalue/atomics -----------------------------------------------------------------------

    @operation(ATOMICS)
    async def increment(self, call: Call[Any], bucket: Bucket, key: str, delta: int) -> int:
        return await self._at(call, bucket, lambda store: store.increment(key, delta))

    # --- wasi:keyvalue/batch -------------------------------------------------------------------------

    @operation(BATCH)
    async def get_many(
        self, call: Call[Any], bucket: Bucket, keys: list[str]
    ) -> list[tuple[str, bytes] | None]:
        values = await self._at(call, bucket, lambda store: store.get_many(keys))
        return [None if value is None else (key, value) for key, value in zip(keys, values, strict=True)]

    @operation(BATCH)
    async def set_many(self, call: Call[Any], bucket: Bucket, key_values: list[tuple[str, bytes]]) -> None:
        await self._at(call, bucket, lambda store: store.set_many(key_values))

    @operation(BATCH)
    async def delete_many(self, call: Call[Any], bucket: Bucket, keys: list[str]) -> None:
        await self._at(call, bucket, lambda store: store.delete_many(keys))

    # --- inside --------------------------------------------------------------------------------------

    async def _at(self, call: Call[Any], bucket: Bucket, do: Callable[[Store], Awaitable[T]]) -> T:
        """Does something at the bucket that a handle means; errors are told in the interface's own type."""
        try:
            return await do(await self.find(call.held, bucket.identifier))
        except LathError as e:
            raise OpError(Variant("other", e.message)) from e


def no_such_store() -> OpError:
    """What `open` answers for a bucket that the link does not allow."""
    return OpError(Variant("no-such-store"))
