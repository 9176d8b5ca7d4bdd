"""The config of a link of the HTTP server: which requests it takes, and the listener that they come in by."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lath.errors import InvalidArgument
from lath.names import shown

ANY: Final = "*"
"""Any host; any method."""
_HOST: Final = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z"
)
_METHOD: Final = re.compile(r"[A-Z][A-Z-]{0,31}\Z")
_PATH: Final = re.compile(r"/[A-Za-z0-9/._~!$&'()*+,;=:@-]*\Z")
_PORT_MAX: Final = 65_535
DRAIN_MS_MAX: Final = 60_000
"""Longer than anybody waits for a process to stop."""

Milliseconds = Annotated[int, Field(ge=1, le=24 * 3600 * 1000)]


class Address(NamedTuple):
    """Where a listener listens.

    Attributes:
        host: A name or an address; empty: all of the machine's addresses.
        port: 0: one that is free.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host or ANY}:{self.port}"


def _address(given: object) -> object:
    if not isinstance(given, str):
        return given
    host, colon, port = given.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _PORT_MAX:
        raise InvalidArgument(f"{shown(given)} is no address: use host:port, [ipv6]:port or *:port")
    return Address("" if host == ANY else host.lower(), int(port))


def _parts(given: object) -> object:
    """A list as links carry it: text, its items parted by commas."""
    if not isinstance(given, str):
        return given
    return tuple(part.strip() for part in given.split(",") if part.strip())


def _hosts(given: object) -> object:
    parts = _parts(given)
    return tuple(map(_host_pattern, parts)) if isinstance(parts, tuple) else parts


def _host_pattern(given: str) -> str:
    name = given.lower().removesuffix(".")
    if given == ANY or is_host(name.removeprefix("*.")):
        return name
    raise InvalidArgument(f"{shown(given)} is no host: use a name without a port, *.suffix, or * for any")


def is_host(name: str) -> bool:
    """Whether `name`, in lower case, may name a host: a DNS name, an IPv4 address, or `[an IPv6 address]`."""
    if name.startswith("[") and name.endswith("]"):
        try:
            return bool(ipaddress.IPv6Address(name[1:-1]))
        except ValueError:
            return False
    return len(name) <= 253 and bool(_HOST.match(name))


def _methods(given: object) -> object:
    parts = _parts(given)
    if not isinstance(parts, tuple):
        return parts
    names = tuple(part.upper() for part in parts)
    for name in names:
        if not _METHOD.match(name) or name == "CONNECT":
            raise InvalidArgument(
                f"{shown(name)} is no method that can be served: use names such as GET,POST"
            )
    return names


def _path(given: object) -> object:
    if isinstance(given, str) and (not _PATH.match(given) or any(p in (".", "..") for p in given.split("/"))):
        raise InvalidArgument(f"{shown(given)} is no path: use /a/b, not encoded, without query, . and ..")
    return given.rstrip("/") + "/" if isinstance(given, str) else given


class ListenerSettings(BaseModel):
    """What all links at one address have to agree on.

    Attributes:
        address: `host:port`, `[ipv6]:port`, `*:port` for all addresses of the machine. Port 0: a free one,
            for this link alone.
        tls_cert: A file with the certificate and its chain (PEM); with it the listener speaks TLS only.
        tls_key: A file with the certificate's key (PEM, not encrypted).
        header_bytes_max: Request line and headers, together. More: 431.
        header_timeout_ms: From the first byte of a request, or of TLS, to the end of its headers.
            Longer: 408, and the connection is closed.
        idle_timeout_ms: How long a connection may stay open without a request.
        stall_timeout_ms: How long a client may keep a request waiting for its body (408) or for taking the
            response (the connection is reset).
        connections_max: Open connections. Those beyond it are closed at once.
        requests_per_connection_max: After so many a connection is closed, so that clients spread anew.
        access_log: Whether each request is logged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Annotated[Address, BeforeValidator(_address)] = Address("127.0.0.1", 8000)
    tls_cert: str = ""
    tls_key: str = ""
    header_bytes_max: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 64 * 1024
    header_timeout_ms: Milliseconds = 10_000
    idle_timeout_ms: Milliseconds = 75_000
    stall_timeout_ms: Milliseconds = 30_000
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 16_384
    requests_per_connection_max: Annotated[int, Field(ge=1)] = 10_000
    access_log: bool = True

    @model_validator(mode="after")
    def _both_files_or_none(self) -> ListenerSettings:
        if bool(self.tls_cert) != bool(self.tls_key):
            given, missing = ("tls_cert", "tls_key") if self.tls_cert else ("tls_key", "tls_cert")
            raise InvalidArgument(f"{given} is given without {missing}: TLS needs both")
        return self

    def differences(self, other: ListenerSettings) -> list[str]:
        """The names of the settings that `other` has otherwise."""
        return [name for name in ListenerSettings.model_fields if getattr(self, name) != getattr(other, name)]


class HttpServerConfig(ListenerSettings):
    """The source config of a link. Every value is text in KV; unknown names are refused.

    Attributes:
        hosts: The hosts that requests are for: names, `*.suffix` (any depth, not the suffix itself), `*`;
            several separated by commas.
        path: The start of their paths, whole segments: `/api` takes `/api` and `/api/a`, not `/apis`.
        methods: Theirs, separated by commas; GET includes HEAD. Empty: any.
        timeout_ms: How long the component may take until its response begins.
        body_bytes_max: Of a request. More: 413.
        concurrency_max: Requests of this link at once. More: 503.
        drain_ms: How long the running requests may go on when the link is closed.
    """

    hosts: Annotated[tuple[str, ...], BeforeValidator(_hosts), Field(min_length=1)] = (ANY,)
    path: Annotated[str, BeforeValidator(_path)] = "/"
    methods: Annotated[tuple[str, ...], BeforeValidator(_methods)] = ()
    timeout_ms: Milliseconds = 30_000
    body_bytes_max: Annotated[int, Field(ge=0)] = 16 * 1024 * 1024
    concurrency_max: Annotated[int, Field(ge=1)] = 1_024
    drain_ms: Annotated[int, Field(ge=0, le=DRAIN_MS_MAX)] = 10_000

    @property
    def listener(self) -> ListenerSettings:
        """The listener's part of it."""
        return ListenerSettings.model_construct(
            **{name: getattr(self, name) for name in ListenerSettings.model_fields}
        )
