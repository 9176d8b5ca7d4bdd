"""`KeyValueMemory`: wasi:keyvalue (store, atomics, batch) in the memory of one instance."""

from __future__ import annotations

from dataclasses import dataclass

from lath.provider import Link
from lath_providers.keyvalue import OWN_BUCKET, KeyValueProvider, default_bucket, no_such_store
from lath_providers.keyvalue_memory.config import KeyValueMemoryConfig
from lath_providers.keyvalue_memory.store import MemoryStore


@dataclass(frozen=True, slots=True)
class Held:
    """What a link holds: the right to some buckets."""

    config: KeyValueMemoryConfig
    bucket: str


class KeyValueMemory(KeyValueProvider):
    """wasi:keyvalue in memory. Link config: see `KeyValueMemoryConfig`.

    The buckets are the instance's: they outlive links that are purged or changed, and end with it.
    """

    def __init__(self) -> None:
        self._stores: dict[str, MemoryStore] = {}

    async def open_link(self, link: Link) -> Held:
        config = link.config_as(KeyValueMemoryConfig)
        held = Held(config, config.bucket or default_bucket(self.context.lattice, link))
        for name in (held.bucket, *config.further_buckets):
            if name in self._stores:
                self._stores[name].limits = config
        return held

    async def find(self, held: Held, identifier: str) -> MemoryStore:
        name = held.bucket if identifier in OWN_BUCKET else identifier
        if name != held.bucket and name not in held.config.further_buckets:
            raise no_such_store()
        store = self._stores.get(name)
        if store is None:
            store = self._stores[name] = MemoryStore(name, held.config)
        return store
