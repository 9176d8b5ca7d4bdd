"""`KeyValueRedis`: wasi:keyvalue (store, atomics, batch) on Redis, with connections for each link."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lath.errors import NotFound
from lath.provider import Link
from lath_providers.keyvalue import OWN_BUCKET, KeyValueProvider, default_bucket, no_such_store
from lath_providers.keyvalue_redis.config import KeyValueRedisConfig

if TYPE_CHECKING:
    from lath_providers.keyvalue_redis.backend import Backend
    from lath_providers.keyvalue_redis.store import RedisStore


@dataclass(slots=True)
class Held:
    """What a link holds: its connections, and its buckets by the names they are opened by."""

    backend: Backend
    bucket: str
    stores: dict[str, RedisStore] = field(default_factory=dict)


class KeyValueRedis(KeyValueProvider):
    """wasi:keyvalue on Redis. Link config: `url`, `password` and more, see `KeyValueRedisConfig`."""

    async def start(self, config: Mapping[str, str]) -> None:
        try:  # reads files, so not on the loop
            await asyncio.to_thread(importlib.import_module, "lath_providers.keyvalue_redis.store")
        except ModuleNotFoundError as e:
            need = "keyvalue-redis needs the extra `redis` (pip install 'lath[redis]')"
            raise NotFound(f"{need}: {e}") from None

    async def open_link(self, link: Link) -> Held:
        from lath_providers.keyvalue_redis.backend import Backend

        config = link.config_as(KeyValueRedisConfig)
        # Redis takes no spaces in a connection's name; the ids and names of a link have none.
        backend = await Backend.connect(config, f"lath-kv:{link.source_id}:{link.name}")
        return Held(backend, config.bucket or default_bucket(self.context.lattice, link))

    async def close_link(self, link: Link, held: Held) -> None:
        await held.backend.close()

    async def check_link(self, link: Link, held: Held) -> None:
        await held.backend.check()

    async def find(self, held: Held, identifier: str) -> RedisStore:
        store = held.stores.get(identifier)
        if store is None:
            store = held.stores[identifier] = self._store(held, identifier)
        return store

    def _store(self, held: Held, identifier: str) -> RedisStore:
        from lath_providers.keyvalue_redis.store import RedisStore

        if identifier in OWN_BUCKET or identifier == held.bucket:
            return RedisStore(held.backend, held.bucket)
        if identifier not in held.backend.config.further_buckets:
            raise no_such_store()
        return RedisStore(held.backend, identifier)
