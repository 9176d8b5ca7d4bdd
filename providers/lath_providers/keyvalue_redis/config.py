"""The config of a link to the keyvalue provider on Redis."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import SplitResult, unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lath.errors import InvalidArgument
from lath_providers.keyvalue.buckets import BucketOrEmpty, Buckets, names_in
from lath_providers.urls import split_url

PORT: Final = 6379
BUCKET_MARK: Final = "{bucket}"
_SCHEMES: Final = ("redis", "rediss")


def _url(text: str) -> str:
    """Checks a URL. It may hold a password, so no message repeats it."""
    parts = split_url(text)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise InvalidArgument("use redis://HOST:PORT/DATABASE, or rediss:// for TLS")
    if parts.query or parts.fragment:
        raise InvalidArgument("the URL takes no options: they are fields of the config")
    if not _database(parts).isdecimal():
        raise InvalidArgument("what follows the host is a number, the database: redis://HOST:PORT/0")
    return text


def _database(parts: SplitResult) -> str:
    return parts.path.strip("/") or "0"


class KeyValueRedisConfig(BaseModel):
    """The target config of a link. Every value is text in KV; unknown names are refused.

    Attributes:
        url: `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS; user and password may stand in it.
        user: Of Redis's access control lists; empty: the default user.
        password: Theirs; it wins over the URL's.
        tls_ca: A file of certificates (PEM) by which the server's is checked; empty: those of the machine.
        tls_cert: A file with the client's certificate (PEM), for servers that ask for one.
        tls_key: A file with its key.
        bucket: The bucket; empty: one of the link's own (`keyvalue.default_bucket`).
        buckets: Further buckets that the component may open by their names, separated by commas.
        prefix: What stands before each key in Redis, with `{bucket}` for the bucket's name. Empty: nothing,
            so that the link's keys are those of the database; it then has no further buckets.
        connections_max: How many connections the link may have; calls in flight share them.
        connect_timeout_ms: How long making a connection may take.
        timeout_ms: How long Redis may leave a command without an answer before its connection is given up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, AfterValidator(_url)] = Field(repr=False)
    user: str = ""
    password: str = Field(default="", repr=False)
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    bucket: BucketOrEmpty = ""
    buckets: Buckets = ""
    prefix: str = f"{BUCKET_MARK}:"
    connections_max: Annotated[int, Field(ge=1, le=1_000)] = 4
    connect_timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = 5_000
    timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 5_000

    @model_validator(mode="after")
    def _fields_fit(self) -> KeyValueRedisConfig:
        if self.buckets and BUCKET_MARK not in self.prefix:
            raise InvalidArgument(f"prefix: several buckets need {BUCKET_MARK} in it, to be kept apart")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise InvalidArgument("tls_cert and tls_key go together")
        return self

    @property
    def further_buckets(self) -> frozenset[str]:
        return names_in(self.buckets)

    @property
    def tls(self) -> bool:
        return split_url(self.url).scheme == "rediss"

    @property
    def host(self) -> str:
        return split_url(self.url).hostname or ""

    @property
    def port(self) -> int:
        return split_url(self.url).port or PORT

    @property
    def database(self) -> int:
        return int(_database(split_url(self.url)))

    @property
    def credentials(self) -> tuple[str | None, str | None]:
        """User and password, the fields before the URL's."""
        parts = split_url(self.url)
        user = self.user or unquote(parts.username or "")
        password = self.password or unquote(parts.password or "")
        return user or None, password or None

    @property
    def address(self) -> str:
        """The URL for messages: without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database}"

    def prefix_of(self, bucket: str) -> bytes:
        """What stands before each key of a bucket."""
        return self.prefix.replace(BUCKET_MARK, bucket).encode()
