"""What the providers of wasi:blobstore share: the protocol of a backend, and the provider over it."""

from lath_providers.blobstore.backend import (
    Blob,
    BlobBackend,
    ContainerInfo,
    ObjectId,
    ObjectInfo,
    no_such_container,
    no_such_object,
)
from lath_providers.blobstore.places import BlobstoreConfig, Places
from lath_providers.blobstore.provider import BlobstoreProvider, Container

__all__ = [
    "Blob",
    "BlobBackend",
    "BlobstoreConfig",
    "BlobstoreProvider",
    "Container",
    "ContainerInfo",
    "ObjectId",
    "ObjectInfo",
    "Places",
    "no_such_container",
    "no_such_object",
]
