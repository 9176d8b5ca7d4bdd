"""The blobstore provider on the NATS object store passes the contract of backends."""

from __future__ import annotations

from collections.abc import AsyncIterator

from blob_reads import break_off_a_read
from nats_backend import PASSWORD, USER, NatsBackend
from pytest_asyncio import fixture

from lath.names import new_id
from lath.provider import Provider
from lath.testing.backend_contract import BackendContract
from lath.testing.blobstore import exists, keep_number, kept_numbers
from lath.testing.provider import Linked
from lath_providers.blobstore_nats import BlobstoreNats


class TestBlobstoreNatsBackend(BackendContract):
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

    async def exercise(self, linked: Linked) -> None:
        await exists(linked, "things")

    async def write(self, linked: Linked, number: int) -> None:
        await keep_number(linked, number)

    async def written(self, linked: Linked) -> set[int]:
        return await kept_numbers(linked)

    async def test_a_read_whose_backend_dies_ends_in_an_error_and_not_in_an_end(
        self, linked: Linked, backend: NatsBackend
    ) -> None:
        await break_off_a_read(linked, backend)
