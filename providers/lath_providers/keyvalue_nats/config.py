"""The config of a link to the keyvalue provider on NATS KV."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lath.bus import Credentials
from lath_providers.keyvalue.buckets import BucketOrEmpty, Buckets, names_in


class KeyValueNatsConfig(BaseModel):
    """The target config of a link. Every value is text in KV; unknown names are refused.

    Attributes:
        url: The NATS servers, several separated by commas; empty: the lattice's own.
        bucket: The KV bucket; empty: one of the link's own (`keyvalue.default_bucket`).
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
    bucket: BucketOrEmpty = ""
    create: bool = True
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    storage: Literal["file", "memory"] = "file"
    buckets: Buckets = ""
    user: str = ""
    password: str = Field(default="", repr=False)
    token: str = Field(default="", repr=False)
    creds: str = ""

    @property
    def further_buckets(self) -> frozenset[str]:
        return names_in(self.buckets)

    def credentials(self, own: Credentials | None) -> Credentials | None:
        """What to show the servers: what the config says, else, on the lattice's own bus, the provider's."""
        if self.user or self.token or self.creds:
            return Credentials(
                user=self.user, password=self.password, token=self.token, creds_path=self.creds
            )
        return None if self.url else own
