"""The config of a link to the blobstore provider on the NATS object store."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from lath.errors import InvalidArgument
from lath.names import shown
from lath_providers.blobstore.places import BlobstoreConfig, listed
from lath_providers.nats_servers import NatsServers

CHUNK_BYTES_MIN: Final = 4 * 1024
CHUNK_BYTES_MAX: Final = 960 * 1024
"""A server takes 1 MiB in a message by default, headers included."""
CHUNK_BYTES: Final = 128 * 1024
"""What NATS's own clients write."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9_-]+\Z")


def _buckets(names: str) -> str:
    for name in listed(names):
        if not _BUCKET.match(name):
            raise InvalidArgument(f"{shown(name)} is no name of a bucket: use A-Z a-z 0-9 _ -")
    return names


class BlobstoreNatsConfig(NatsServers, BlobstoreConfig):
    """The target config of a link, beside its servers.

    Attributes:
        containers: Object stores ("buckets") by their names, separated by commas; a container that is not
            among them is a bucket of the link's own.
        replicas: Of a bucket that is made, 1 to 5.
        storage: Of a bucket that is made.
        chunk_bytes: Of an object that is written; the memory that a read or write takes, and a round trip
            each.
    """

    containers: Annotated[str, AfterValidator(_buckets)] = ""
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    storage: Literal["file", "memory"] = "file"
    chunk_bytes: Annotated[int, Field(ge=CHUNK_BYTES_MIN, le=CHUNK_BYTES_MAX)] = CHUNK_BYTES
