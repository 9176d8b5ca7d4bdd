"""The provider of wasi:blobstore on the NATS object store."""

from lath_providers.blobstore_nats.config import BlobstoreNatsConfig
from lath_providers.blobstore_nats.provider import BlobstoreNats

__all__ = ["BlobstoreNats", "BlobstoreNatsConfig"]
