"""The config of a link to the blobstore provider in memory."""

from __future__ import annotations

from lath_providers.blobstore.places import BlobstoreConfig


class BlobstoreMemoryConfig(BlobstoreConfig):
    """The target config of a link: what every one to a blobstore may say, and nothing else."""
