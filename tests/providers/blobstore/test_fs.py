"""The blobstore provider on a file system passes the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from lath.provider import Provider
from lath.testing.blobstore_contract import BlobstoreContract
from lath_providers.blobstore_fs import BlobstoreFs


class TestBlobstoreFs(BlobstoreContract):
    @pytest.fixture(autouse=True)
    def root(self, tmp_path: Path) -> Path:
        self.folder = tmp_path / "root"
        self.folder.mkdir()
        return self.folder

    def make_provider(self) -> Provider:
        return BlobstoreFs()

    def link_config(self) -> dict[str, str]:
        return {"root": str(self.folder)}
