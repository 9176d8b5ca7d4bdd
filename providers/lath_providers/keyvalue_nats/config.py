"""The config of a link to the keyvalue provider on NATS KV."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lath_providers.keyvalue.buckets import BucketOrEmpty, Buckets, names_in
from lath_providers.nats_servers import NatsServers


class KeyValueNatsConfig(NatsServers):
    """The target config of a link, beside its servers.

    Attributes:
        bucket: The KV bucket; empty: one of the link's own (`keyvalue.default_bucket`).
        create: Whether the bucket is made when it is not there.
        replicas: Of a bucket that is made, 1 to 5.
        storage: Of a bucket that is made.
        buckets: Further buckets that the component may open by their names, separated by commas.
    """

    bucket: BucketOrEmpty = ""
    create: bool = True
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    storage: Literal["file", "memory"] = "file"
    buckets: Buckets = ""

    @property
    def further_buckets(self) -> frozenset[str]:
        return names_in(self.buckets)
