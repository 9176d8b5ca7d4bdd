"""The blobstore provider on S3 passes the contract of backends, on a real server, killed and frozen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

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
