"""`KeyValueNats`: wasi:keyvalue (store, atomics, batch) on NATS KV, with a connection for each link."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from lath.bus import Bus
from lath.provider import Link
from lath_providers.keyvalue import OWN_BUCKET, KeyValueProvider, default_bucket, no_such_store
from lath_providers.keyvalue_nats.config import KeyValueNatsConfig
from lath_providers.keyvalue_nats.store import Store, open_store


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
            raise no_such_store()
        async with self.opening:
            if identifier not in self.further:
                self.further[identifier] = await open_store(self.bus, identifier, self.config)
        return self.further[identifier]


class KeyValueNats(KeyValueProvider):
    """wasi:keyvalue on NATS KV. Link config: `url`, `bucket` and more, see `KeyValueNatsConfig`."""

    async def open_link(self, link: Link) -> Backend:
        config = link.config_as(KeyValueNatsConfig)
        bus = await config.connect(self.context, f"lath-kv {link.source_id} {link.name}")
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
        await backend.store.check()

    async def find(self, backend: Backend, identifier: str) -> Store:
        return await backend.find(identifier)
