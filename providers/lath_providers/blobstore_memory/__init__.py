"""The provider of wasi:blobstore in memory."""

from lath_providers.blobstore_memory.config import BlobstoreMemoryConfig
from lath_providers.blobstore_memory.provider import BlobstoreMemory

__all__ = ["BlobstoreMemory", "BlobstoreMemoryConfig"]
