"""`allowed_hosts`: whom a component may send HTTP requests to, and at which addresses.

A request is checked twice. Before anything happens, by what it says: scheme, host and port. And at every
connection, by the address that is connected to: where a pattern does not say the address itself, the name
leads to public networks only, or, where the name is given in full, to private ones as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final, Literal

from lath.errors import InvalidArgument
from lath_host.outbound.addresses import Address, AddressKind, kind_of, parse_host, reached_by_name

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
PORTS: Final = range(1, 65536)
_DESTINATIONS_KEPT: Final = 1024
"""Of those that were read last: components ask the same few again and again."""
_PORT: Final = re.compile(r"(.*):([0-9]{1,5})")
_FORMS: Final = "*, *.SUFFIX, HOST, each but * with :PORT and with http:// or https://"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes to, in its one form.

    Attributes:
        scheme: `http` or `https`.
        host: A name in lower case without its final dot, or an address.
        port: 1 to 65535.
    """

    scheme: str
    host: Address | str
    port: int

    @staticmethod
    @lru_cache(_DESTINATIONS_KEPT)
    def parse(scheme: str, authority: str) -> Destination:
        """Reads what a request says.

        Raises:
            InvalidArgument: It says no host that lath would connect to.
        """
        if scheme not in DEFAULT_PORTS:
            raise InvalidArgument(f"{scheme}: requests go over http or https")
        host, port = _host_and_port(authority)
        return Destination(scheme, host, port or DEFAULT_PORTS[scheme])

    @property
    def host_text(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)

    def __str__(self) -> str:
        """As a pattern that covers it and nothing else."""
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host_text}{port}"

    def at(self, address: Address) -> Destination:
        """The same at an address."""
        return Destination(self.scheme, address, self.port)


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One item of `allowed_hosts`.

    Attributes:
        text: As it was given.
        kind: `any`: every host; `suffix`: every name below one, without itself; `name`: one name; `address`:
            one address.
        host: The suffix, the name or the address; nothing for `any`.
        scheme: Which alone it covers; None: both.
        port: Which alone it covers; None: the scheme's own (80, 443), or for `any` all.
    """

    text: str
    kind: Literal["any", "suffix", "name", "address"]
    host: Address | str = ""
    scheme: str | None = None
    port: int | None = None

    @staticmethod
    def parse(text: str) -> HostPattern:
        """Reads a pattern.

        Raises:
            InvalidArgument: It is none; the message says what would be.
        """
        if text == "*":
            return HostPattern(text, "any")
        try:
            return _parse(text)
        except InvalidArgument as error:
            raise InvalidArgument(
                f"allowed host {text!r}: {error.message}. What there is: {_FORMS}"
            ) from None

    def covers(self, destination: Destination) -> bool:
        """Whether requests to it may be sent, as far as what they say goes."""
        return self._covers_way(destination) and self._covers_host(destination.host)

    def reaches(self, destination: Destination, address: Address) -> bool:
        """Whether requests to `destination`, which some pattern covers, may be sent to `address`."""
        if not self._covers_way(destination):
            return False
        if self.kind == "address":
            return self.host == address
        if not self._covers_host(destination.host):
            return False
        if self.kind == "name":
            return reached_by_name(str(self.host), address)
        return kind_of(address) is AddressKind.PUBLIC

    def _covers_way(self, destination: Destination) -> bool:
        if self.scheme not in (None, destination.scheme):
            return False
        if self.port is None:
            return self.kind == "any" or destination.port == DEFAULT_PORTS[destination.scheme]
        return self.port == destination.port

    def _covers_host(self, host: Address | str) -> bool:
        if self.kind == "any":
            return True
        if self.kind == "suffix":
            return isinstance(host, str) and host.endswith(f".{self.host}")
        return self.host == host


class HostRules:
    """All that a component was given.

    Args:
        patterns: Its `allowed_hosts`; none: it may send nothing.

    Raises:
        InvalidArgument: One is no pattern.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = tuple(map(HostPattern.parse, patterns))

    def covering(self, destination: Destination) -> HostPattern | None:
        """The first pattern by which requests to it may be sent; None: they may not."""
        return next((pattern for pattern in self._patterns if pattern.covers(destination)), None)

    def reach(self, destination: Destination, address: Address) -> bool:
        """Whether such requests may be sent to `address`, which its host leads to."""
        return any(pattern.reaches(destination, address) for pattern in self._patterns)


def _parse(text: str) -> HostPattern:
    scheme, separator, rest = text.rpartition("://")
    if separator and scheme.lower() not in DEFAULT_PORTS:
        raise InvalidArgument(f"its scheme {scheme!r} is neither http nor https")
    if re.search(r"[/?#]", rest):
        raise InvalidArgument("it has a path, or is a network: give hosts alone")
    if "@" in rest:
        raise InvalidArgument("it has a user: leave it out")
    suffix = rest.startswith("*.")
    host, port = _host_and_port(rest.removeprefix("*.") if suffix else rest)
    if not isinstance(host, str):
        if suffix:
            raise InvalidArgument("addresses have no names below them")
        return HostPattern(text, "address", host, scheme.lower() or None, port)
    return HostPattern(text, "suffix" if suffix else "name", host, scheme.lower() or None, port)


def _host_and_port(authority: str) -> tuple[Address | str, int | None]:
    found = _PORT.fullmatch(authority)
    if found is None:
        return parse_host(authority), None
    port = int(found[2])
    if port not in PORTS:
        raise InvalidArgument(f"port {port} is not of 1 to 65535")
    return parse_host(found[1]), port
