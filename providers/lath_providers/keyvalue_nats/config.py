"""The config of a link to the keyvalue provider on NATS KV."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lath.bus import Credentials
from lath.errors import InvalidArgument
from lath.names import shown
from lath.provider import Link

_BUCKET: Final = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
_DIGEST_CHARS: Final = 12
"""Enough that two links never share a bucket by chance."""


def check_bucket(name: str) -> str:
    """Returns `name` when it may name a NATS KV bucket.

    Raises:
        InvalidArgument: Anything but 1 to 200 of the characters A-Z, a-z, 0-9, `_` and `-`.
    """
    if not _BUCKET.match(name):
        raise InvalidArgument(f"bucket {shown(name)} is not valid: use 1 to 200 of A-Z a-z 0-9 _ -")
    return name


def _bucket_or_empty(name: str) -> str:
    return check_bucket(name) if name else name


def _buckets(names: str) -> str:
    for name in filter(None, (part.strip() for part in names.split(","))):
        check_bucket(name)
    return names


class KeyValueNatsConfig(BaseModel):
    """The target config of a link. Every value is text in KV; unknown names are refused.

    Attributes:
        url: The NATS servers, several separated by commas; empty: the lattice's own.
        bucket: The KV bucket; empty: one of the link's own (`default_bucket`).
        create: Whether the bucket is made when it is not there.
        replicas: Of a bucket that is made, 1 to 5.
        storage: Of a bucket that is made.
        buckets: Further buckets that the component may open by their names, separated by commas.
        user: With `password`, for the servers.
        password: With `user`.
        token: For the servers.
        creds: The path of a `.creds` file, for the servers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    bucket: Annotated[str, AfterValidator(_bucket_or_empty)] = ""
    create: bool = True
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    storage: Literal["file", "memory"] = "file"
    buckets: Annotated[str, AfterValidator(_buckets)] = ""
    user: str = ""
    password: str = Field(default="", repr=False)
    token: str = Field(default="", repr=False)
    creds: str = ""

    @property
    def further_buckets(self) -> frozenset[str]:
        return frozenset(filter(None, (part.strip() for part in self.buckets.split(","))))

    def credentials(self, own: Credentials | None) -> Credentials | None:
        """What to show the servers: what the config says, else, on the lattice's own bus, the provider's."""
        if self.user or self.token or self.creds:
            return Credentials(
                user=self.user, password=self.password, token=self.token, creds_path=self.creds
            )
        return None if self.url else own


def default_bucket(lattice: str, link: Link) -> str:
    """The bucket of a link that names none: readable, and of that link alone.

    Ids may contain what joins them here, so the digest keeps apart what would read the same.
    """
    own = f"{lattice}.{link.target}.{link.source_id}.{link.name}"
    digest = hashlib.sha256(own.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"kv-{link.source_id}-{link.name}-{digest}"
