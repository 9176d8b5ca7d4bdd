"""The blobstore provider on the NATS object store passes the contract."""

from __future__ import annotations

from lath.provider import Provider
from lath.testing.blobstore_contract import BlobstoreContract
from lath_providers.blobstore_nats import BlobstoreNats


class TestBlobstoreNats(BlobstoreContract):
    def make_provider(self) -> Provider:
        return BlobstoreNats()
