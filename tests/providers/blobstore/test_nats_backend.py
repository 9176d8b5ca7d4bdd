"""The blobstore provider on the NATS object store passes the contract of backends."""

from __future__ import annotations

from collections.abc import AsyncIterator

from blob_backends import BlobstoreBackendContract
from nats_backend import PASSWORD, USER, NatsBackend
from pytest_asyncio import fixture

from lath.names import new_id
from lath.provider import Provider
from lath_providers.blobstore_nats import BlobstoreNats


class TestBlobstoreNatsBackend(BlobstoreBackendContract):
    @fixture
    async def backend(self) -> AsyncIterator[NatsBackend]:
        backend = NatsBackend("lath-blobstore ")
        async with backend.server:
            self.url = backend.url
            yield backend

    def make_provider(self) -> Provider:
        return BlobstoreNats()

    def link_config(self) -> dict[str, str]:
        return {"url": self.url, "user": USER, "password": PASSWORD, "containers": f"unused-{new_id()}"}

    def wrong_credentials(self) -> dict[str, str]:
        return {**self.link_config(), "password": self.wrong_secret}
