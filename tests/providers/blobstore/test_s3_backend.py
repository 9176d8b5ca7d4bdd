"""The blobstore provider on S3 passes the contract of backends, on a real server, killed and frozen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from blob_backends import BlobstoreBackendContract
from pytest_asyncio import fixture
from s3_server import S3Server

from lath.names import new_id
from lath.provider import Provider
from lath_providers.blobstore_s3 import BlobstoreS3


class TestBlobstoreS3Backend(BlobstoreBackendContract):
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
