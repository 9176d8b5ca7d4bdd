"""The provider of wasi:blobstore on a file system."""

from lath_providers.blobstore_fs.config import BlobstoreFsConfig
from lath_providers.blobstore_fs.provider import BlobstoreFs

__all__ = ["BlobstoreFs", "BlobstoreFsConfig"]
