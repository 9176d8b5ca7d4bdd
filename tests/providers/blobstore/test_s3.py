"""The blobstore provider on S3 passes the contract, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
from s3_server import S3Server, s3_server

from lath.provider import Provider
from lath.testing.blobstore_contract import BlobstoreContract
from lath_providers.blobstore_s3 import BlobstoreS3


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


class TestBlobstoreS3(BlobstoreContract):
    names_nest: ClassVar[bool] = False  # this server keeps objects as files, and keys as their paths

    @pytest.fixture(autouse=True)
    def bucket(self, server: S3Server) -> None:
        self.config = server.link_config(server.make_bucket())

    def make_provider(self) -> Provider:
        return BlobstoreS3()

    def link_config(self) -> dict[str, str]:
        return self.config
