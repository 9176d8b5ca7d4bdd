"""The config of a link to the PostgreSQL provider."""

from __future__ import annotations

import ssl
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import SplitResult, unquote

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lath.errors import InvalidArgument
from lath_providers.urls import split_url

SCHEMES: Final = ("postgres", "postgresql")
PORT_DEFAULT: Final = 5432
HOUR_MS: Final = 3_600_000

Milliseconds: TypeAlias = Annotated[int, Field(ge=1, le=24 * HOUR_MS)]
TlsMode: TypeAlias = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]


class PostgresConfig(BaseModel):
    """The target config of a link. Every value is text in KV; unknown names are refused.

    Attributes:
        url: `postgres://user:password@host:port/database`. What stands in a field of its own comes before it.
        host: A name, an address, or the folder of a Unix socket.
        port: Of the host.
        database: By default the one that is called as the user.
        user: Who connects.
        password: Theirs.
        tls: `disable`: never; `prefer`: where the server has it, whoever it is; `require`: always, whoever
            it is; `verify-ca`: its certificate is of a CA that is trusted; `verify-full`: and is the host's.
        tls_ca: The certificates that are trusted (PEM); empty: the system's.
        tls_ca_path: Likewise, a file on the provider's machine.
        pool_max: Connections at once. None is opened before it is needed.
        pool_wait_ms: How long a call waits for a free connection.
        idle_ms: How long a connection may lie unused before it is closed.
        connect_ms: How long a connection may take to be made.
        statement_timeout_ms: How long the server lets a statement run; 0: as the server is set.
        transaction_idle_ms: How long a transaction may go without a call before it is rolled back.
        statement_cache: Prepared statements kept by each connection.
        search_path: The schemas in which names are looked up; empty: as the server is set.
        application_name: As `pg_stat_activity` shows it; empty: `lath`, the component and the link.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(default="", repr=False)
    host: str = ""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    database: str = ""
    user: str = ""
    password: str = Field(default="", repr=False)
    tls: TlsMode = "prefer"
    tls_ca: str = ""
    tls_ca_path: str = ""
    pool_max: Annotated[int, Field(ge=1, le=1_000)] = 10
    pool_wait_ms: Milliseconds = 5_000
    idle_ms: Milliseconds = 60_000
    connect_ms: Milliseconds = 10_000
    statement_timeout_ms: Annotated[int, Field(ge=0, le=24 * HOUR_MS)] = 0
    transaction_idle_ms: Milliseconds = 30_000
    statement_cache: Annotated[int, Field(ge=0, le=10_000)] = 100
    search_path: str = ""
    application_name: str = ""

    @model_validator(mode="after")
    def _names_a_server(self) -> PostgresConfig:
        if self.url and self._parts.scheme not in SCHEMES:
            raise InvalidArgument("url: it does not begin with postgres:// or postgresql://")
        if not self.place.host:
            raise InvalidArgument("host: give host, or a url with one")
        if not self.place.user:
            raise InvalidArgument("user: give user, or a url with one")
        if self.tls_ca and self.tls_ca_path:
            raise InvalidArgument("tls_ca_path: tls_ca is given too; use one of them")
        return self

    @property
    def place(self) -> Place:
        """Where the database is, and who connects."""
        parts = self._parts
        if parts.query or parts.fragment:
            raise InvalidArgument("url: it ends with the database; give options as fields of their own")
        user = self.user or unquote(parts.username or "")
        return Place(
            host=self.host or unquote(parts.hostname or ""),
            port=self.port or parts.port or PORT_DEFAULT,
            database=self.database or unquote(parts.path.lstrip("/")) or user,
            user=user,
            password=self.password or unquote(parts.password or ""),
        )

    @property
    def _parts(self) -> SplitResult:
        try:
            return split_url(self.url)
        except InvalidArgument as error:
            raise InvalidArgument(f"url: {error.message}") from None

    def tls_context(self) -> ssl.SSLContext | None:
        """What TLS is spoken with; None: none is. It reads files.

        Raises:
            InvalidArgument: The certificates cannot be read.
        """
        if self.tls == "disable":
            return None
        if self.tls in ("prefer", "require"):
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        try:  # what is given is trusted in place of the system's
            context = ssl.create_default_context(cafile=self.tls_ca_path or None, cadata=self.tls_ca or None)
        except (OSError, TypeError) as error:
            field = "tls_ca_path" if self.tls_ca_path else "tls_ca"
            raise InvalidArgument(
                f"link config: {field}: no certificates can be read from it: {error}"
            ) from None
        context.check_hostname = self.tls == "verify-full"
        return context


class Place(BaseModel):
    """A database, and who connects to it."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    database: str
    user: str
    password: str = Field(repr=False)

    def __str__(self) -> str:
        return f"{self.database!r} at {self.host}:{self.port} as {self.user!r}"
