"""The blobstore provider on S3 passes the contract of backends, on a real server, killed and frozen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from blob_reads import break_off_a_read
from pytest_asyncio import fixture
from s3_server import S3Server

from lath.names import new_id
from lath.provider import Provider
from lath.testing.backend_contract import BackendContract
from lath.testing.blobstore import exists, keep_number, kept_numbers
from lath.testing.provider import Linked
from lath_providers.blobstore_s3 import BlobstoreS3


class TestBlobstoreS3Backend(BackendContract):
    @fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[S3Server]:
        server = S3Server(tmp_path)
        self.config = server.link_config(server.make_bucket())
        await server.start()
        yield server
        await server.stop()

    def make_provider(self) -> Provider:
        return BlobstoreS3()

    def link_config(self) -> dict[str, str]:
        return {**self.config, "prefix": new_id()}

    def wrong_credentials(self) -> dict[str, str]:
        return {**self.config, "secret_access_key": self.wrong_secret}

    async def exercise(self, linked: Linked) -> None:
        await exists(linked, "things")

    async def write(self, linked: Linked, number: int) -> None:
        await keep_number(linked, number)

    async def written(self, linked: Linked) -> set[int]:
        return await kept_numbers(linked)

    async def test_a_read_whose_backend_dies_ends_in_an_error_and_not_in_an_end(
        self, linked: Linked, backend: S3Server
    ) -> None:
        await break_off_a_read(linked, backend)
