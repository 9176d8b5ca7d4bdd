"""`BlobstoreNats`: wasi:blobstore on the NATS object store, with a connection for each link."""

from __future__ import annotations

from typing import Final

from lath.bus import Bus
from lath.provider import Link
from lath_providers.blobstore.backend import BlobBackend
from lath_providers.blobstore.provider import BlobstoreProvider
from lath_providers.blobstore_nats.backend import NatsBackend
from lath_providers.blobstore_nats.config import BlobstoreNatsConfig

CONNECT_MS: Final = 5_000
"""How long to try to reach the backend before the link is `failed` (and tried again)."""


class BlobstoreNats(BlobstoreProvider):
    """wasi:blobstore on the NATS object store. Link config: `url` and more, see `BlobstoreNatsConfig`."""

    async def open_link(self, link: Link) -> BlobBackend:
        config = link.config_as(BlobstoreNatsConfig)
        bus = await Bus.connect(
            config.url or self.context.nats_url,
            lattice=self.context.lattice,
            name=f"lath-blobstore {link.source_id} {link.name}",
            credentials=config.credentials(self.context.credentials),
            connect_timeout_ms=CONNECT_MS,
        )
        backend = NatsBackend(bus, config.places(self.context.lattice, link), config)
        try:
            await backend.check()
        except BaseException:
            await bus.close()
            raise
        bus.on_disconnect(lambda: self.context.lost(link, backend, f"the connection to {bus.url} broke"))
        return backend
