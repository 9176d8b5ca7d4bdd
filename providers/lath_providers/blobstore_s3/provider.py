"""`BlobstoreS3`: wasi:blobstore on S3, with a client for each link."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from lath.errors import InvalidArgument
from lath.provider import Link
from lath_providers.blobstore.backend import BlobBackend
from lath_providers.blobstore.provider import BlobstoreProvider
from lath_providers.blobstore_s3.backend import S3Backend
from lath_providers.blobstore_s3.client import make_client
from lath_providers.blobstore_s3.config import BlobstoreS3Config
from lath_providers.blobstore_s3.keys import Keys

OPENING_MAX: Final = 4
"""Each client reads the system's certificates, which takes a thread some milliseconds."""
AWS: Final = "S3"


class BlobstoreS3(BlobstoreProvider):
    """wasi:blobstore on S3. Link config: `bucket`, `endpoint` and more, see `BlobstoreS3Config`."""

    async def start(self, config: Mapping[str, str]) -> None:
        if config:
            raise InvalidArgument(f"provider config: {', '.join(sorted(config))} is unknown; there is none")
        self._opening = asyncio.Semaphore(OPENING_MAX)

    async def open_link(self, link: Link) -> BlobBackend:
        config = link.config_as(BlobstoreS3Config)
        async with self._opening:
            store = await asyncio.to_thread(make_client, config)
        keys = Keys(config.prefix, config.places(self.context.lattice, link))
        backend = S3Backend(store, keys, config.endpoint or AWS, config.part_bytes)
        del store
        await backend.check()
        return backend
