"""`KeyValueNats`: wasi:keyvalue (store, atomics, batch) on NATS KV, with a connection for each link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from lath.bus import Bus
from lath.codec import Record, Variant
from lath.errors import LathError, NotConnected
from lath.provider import BackendLost, Call, Link, OpError, Provider, operation, resource
from lath_providers.keyvalue_nats.config import KeyValueNatsConfig, default_bucket
from lath_providers.keyvalue_nats.store import Store, open_store

STORE = "wasi:keyvalue/store@0.2.0-draft"
ATOMICS = "wasi:keyvalue/atomics@0.2.0-draft"
BATCH = "wasi:keyvalue/batch@0.2.0-draft"

CONNECT_MS = 5_000
"""How long to try to reach the backend before the link is `failed` (and tried again)."""
OWN_BUCKET = ("", "default")
"""The identifiers by which a component opens the bucket of its link."""


@resource("bucket")
class Bucket:
    """A bucket in a component's hands: its identifier, from which any instance finds it again."""

    identifier: str


@dataclass(slots=True)
class Backend:
    """What a link holds: a connection of its own, and the stores that were opened on it."""

    bus: Bus
    config: KeyValueNatsConfig
    store: Store
    further: dict[str, Store] = field(default_factory=dict)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, identifier: str) -> Store:
        """The store of an identifier.

        Raises:
            OpError: The link allows no such bucket (`no-such-store`).
        """
        if identifier in OWN_BUCKET or identifier == self.store.name:
            return self.store
        if identifier not in self.config.further_buckets:
            raise OpError(Variant("no-such-store"))
        async with self.opening:
            if identifier not in self.further:
                self.further[identifier] = await open_store(self.bus, identifier, self.config)
        return self.further[identifier]


class KeyValueNats(Provider):
    """wasi:keyvalue on NATS KV. Link config: `url`, `bucket` and more, see `KeyValueNatsConfig`."""

    resources = (Bucket,)

    async def open_link(self, link: Link) -> Backend:
        config = link.config_as(KeyValueNatsConfig)
        bus = await Bus.connect(
            config.url or self.context.nats_url,
            lattice=self.context.lattice,
            name=f"lath-kv {link.source_id} {link.name}",
            credentials=config.credentials(self.context.credentials),
            connect_timeout_ms=CONNECT_MS,
        )
        try:
            name = config.bucket or default_bucket(self.context.lattice, link)
            backend = Backend(bus, config, await open_store(bus, name, config))
        except BaseException:
            await bus.close()
            raise
        bus.on_disconnect(lambda: self.context.lost(link, backend, f"the connection to {bus.url} broke"))
        return backend

    async def close_link(self, link: Link, backend: Backend) -> None:
        await backend.bus.close()

    async def check_link(self, link: Link, backend: Backend) -> None:
        with _lost():
            await backend.store.check()

    # --- wasi:keyvalue/store -------------------------------------------------------------------------

    @operation(STORE)
    async def open(self, call: Call[Backend], identifier: str) -> Bucket:
        with _told():
            await call.held.find(identifier)
        return Bucket(identifier)

    @operation(STORE, "[method]bucket.get")
    async def get(self, call: Call[Backend], bucket: Bucket, key: str) -> bytes | None:
        async with _store(call, bucket) as store:
            return await store.get(key)

    @operation(STORE, "[method]bucket.set")
    async def set(self, call: Call[Backend], bucket: Bucket, key: str, value: bytes) -> None:
        async with _store(call, bucket) as store:
            await store.set(key, value)

    @operation(STORE, "[method]bucket.delete")
    async def delete(self, call: Call[Backend], bucket: Bucket, key: str) -> None:
        async with _store(call, bucket) as store:
            await store.delete(key)

    @operation(STORE, "[method]bucket.exists")
    async def exists(self, call: Call[Backend], bucket: Bucket, key: str) -> bool:
        async with _store(call, bucket) as store:
            return await store.exists(key)

    @operation(STORE, "[method]bucket.list-keys")
    async def list_keys(self, call: Call[Backend], bucket: Bucket, cursor: int | None) -> Record:
        async with _store(call, bucket) as store:
            keys, following = await store.page(cursor)
            return Record(keys=keys, cursor=following)

    # --- wasi:keyvalue/atomics -----------------------------------------------------------------------

    @operation(ATOMICS)
    async def increment(self, call: Call[Backend], bucket: Bucket, key: str, delta: int) -> int:
        async with _store(call, bucket) as store:
            return await store.increment(key, delta)

    # --- wasi:keyvalue/batch -------------------------------------------------------------------------

    @operation(BATCH)
    async def get_many(
        self, call: Call[Backend], bucket: Bucket, keys: list[str]
    ) -> list[tuple[str, bytes] | None]:
        async with _store(call, bucket) as store:
            values = await store.each(keys, store.get)
            return [None if value is None else (key, value) for key, value in zip(keys, values, strict=True)]

    @operation(BATCH)
    async def set_many(
        self, call: Call[Backend], bucket: Bucket, key_values: list[tuple[str, bytes]]
    ) -> None:
        async with _store(call, bucket) as store:
            await store.each(key_values, lambda pair: store.set(*pair))

    @operation(BATCH)
    async def delete_many(self, call: Call[Backend], bucket: Bucket, keys: list[str]) -> None:
        async with _store(call, bucket) as store:
            await store.each(keys, store.delete)


@asynccontextmanager
async def _store(call: Call[Backend], bucket: Bucket) -> AsyncIterator[Store]:
    """The store that a handle means; failures inside are told in the interface's own error type."""
    with _told():
        yield await call.held.find(bucket.identifier)


@contextmanager
def _told() -> Iterator[None]:
    try:
        with _lost():
            yield
    except LathError as e:
        raise OpError(Variant("other", e.message)) from e


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except NotConnected as e:
        raise BackendLost(e.message, may_have_run=False) from e
