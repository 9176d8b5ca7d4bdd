"""The config of a link to the keyvalue provider in memory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lath_providers.keyvalue.buckets import BucketOrEmpty, Buckets, names_in


class KeyValueMemoryConfig(BaseModel):
    """The target config of a link. Every value is text in KV; unknown names are refused.

    Attributes:
        bucket: The bucket; empty: one of the link's own (`keyvalue.default_bucket`). Links that name one
            bucket share it, and the limits of the one that was opened last.
        buckets: Further buckets that the component may open by their names, separated by commas.
        bytes_max: Of the keys and values in one bucket.
        entries_max: Of one bucket.
        full: What a write to a full bucket does: `evict` what was not used for longest, or `refuse`.
        ttl_ms: How long what was written stays; 0: until it is deleted or evicted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: BucketOrEmpty = ""
    buckets: Buckets = ""
    bytes_max: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024
    entries_max: Annotated[int, Field(ge=1)] = 100_000
    full: Literal["evict", "refuse"] = "evict"
    ttl_ms: Annotated[int, Field(ge=0)] = 0

    @property
    def further_buckets(self) -> frozenset[str]:
        return names_in(self.buckets)
