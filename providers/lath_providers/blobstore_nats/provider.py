"""`BlobstoreNats`: wasi:blobstore on the NATS object store, with a connection for each link."""

from __future__ import annotations

from lath.provider import Link
from lath_providers.blobstore.backend import BlobBackend
from lath_providers.blobstore.provider import BlobstoreProvider
from lath_providers.blobstore_nats.backend import NatsBackend
from lath_providers.blobstore_nats.config import BlobstoreNatsConfig


class BlobstoreNats(BlobstoreProvider):
    """wasi:blobstore on the NATS object store. Link config: `url` and more, see `BlobstoreNatsConfig`."""

    async def open_link(self, link: Link) -> BlobBackend:
        config = link.config_as(BlobstoreNatsConfig)
        bus = await config.connect(self.context, f"lath-blobstore {link.source_id} {link.name}")
        backend = NatsBackend(bus, config.places(self.context.lattice, link), config)
        try:
            await backend.check()
        except BaseException:
            await bus.close()
            raise
        bus.on_disconnect(lambda: self.context.lost(link, backend, f"the connection to {bus.url} broke"))
        return backend
