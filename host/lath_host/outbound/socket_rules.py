"""Whom a component may open sockets to, and where it may listen: `allowed_sockets`, parsed once.

A rule is `[listen:][tcp:|udp:]HOST:PORTS`. HOST is a name (`db.internal`), all names below one
(`*.example.com`), an address (`10.0.0.7`, `[fd00::7]`), a network (`10.0.0.0/8`, `[fd00::/8]`), or `*`. PORTS
is one port, a range (`8000-8100`), or `*`. Without a protocol it holds for both. What no rule covers is
denied.

Addresses that are not public (loopback, private networks, and what else `addresses` knows) are reached only
where a rule names them: by the address, by a network that lies within their kind, or by a name in full. So
`*:443` and `0.0.0.0/0:443` mean public addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal

from lath.errors import InvalidArgument
from lath_host.outbound.addresses import Address, AddressKind, kind_of, parse_host, reached_by_name

Transport = Literal["tcp", "udp"]
Network = IPv4Network | IPv6Network

_FORM: Final = re.compile(
    r"(?P<listen>listen:)?(?:(?P<protocol>tcp|udp):)?(?P<host>\[[^\]]*\]|[^:\[\]]*):(?P<ports>[^:\]]*)"
)
_PREFIXES: Final = frozenset({"listen", "tcp", "udp"})
_PORTS: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
PORT_MAX: Final = 65_535
_USAGE: Final = (
    "write [listen:][tcp:|udp:]HOST:PORTS, as in db.internal:5432, 10.0.0.0/8:5432 or [fd00::7]:53"
)


class Host:
    """What a rule says of whom. As it is, it is about nobody."""

    __slots__ = ()

    def covers(self, address: Address) -> bool:
        """Whether the address itself may be reached."""
        return False

    def covers_name(self, name: str) -> bool:
        """Whether the name may be looked up."""
        return False

    def leads(self, name: str, address: Address) -> bool:
        """Whether the address may be reached that the name was found to have."""
        return False

    def covers_bind(self, address: Address) -> bool:
        """Whether one may listen at the address."""
        return False


@dataclass(frozen=True, slots=True)
class AnyHost(Host):
    """`*`: every public address, and every name; for listening, every address."""

    def covers(self, address: Address) -> bool:
        return kind_of(address) is AddressKind.PUBLIC

    def covers_name(self, name: str) -> bool:
        return True

    def covers_bind(self, address: Address) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Within(Host):
    """A network, of one address maybe."""

    network: Network

    def covers(self, address: Address) -> bool:
        """One that is not public is covered only where all of the network is of its kind."""
        if address not in self.network:
            return False
        kind = kind_of(address)
        return kind is AddressKind.PUBLIC or kind is kind_of(self.network[0]) is kind_of(self.network[-1])

    def covers_bind(self, address: Address) -> bool:
        return address in self.network


@dataclass(frozen=True, slots=True)
class Named(Host):
    """A name, in its one form."""

    name: str

    def covers_name(self, name: str) -> bool:
        return name == self.name

    def leads(self, name: str, address: Address) -> bool:
        return name == self.name and reached_by_name(name, address)


@dataclass(frozen=True, slots=True)
class Below(Host):
    """All names below one."""

    suffix: str

    def covers_name(self, name: str) -> bool:
        return name.endswith("." + self.suffix)

    def leads(self, name: str, address: Address) -> bool:
        return self.covers_name(name) and kind_of(address) is AddressKind.PUBLIC


@dataclass(frozen=True, slots=True)
class SocketRule:
    """One rule.

    Attributes:
        host: Whom it is about.
        ports: The first and the last.
        protocol: None: both.
        listens: Whether it is about where to listen, not whom to reach.
    """

    host: Host
    ports: tuple[int, int]
    protocol: Transport | None
    listens: bool

    def at(self, protocol: Transport, port: int) -> bool:
        """Whether it is about that port."""
        return self.protocol in (None, protocol) and self.ports[0] <= port <= self.ports[1]


class SocketRules:
    """All rules of one component.

    Args:
        patterns: As they were written.

    Raises:
        InvalidArgument: One of them is none; the message has it, and what to write in its place.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        rules = [parse_rule(pattern) for pattern in patterns]
        self._reach = [rule for rule in rules if not rule.listens]
        self._listen = [rule for rule in rules if rule.listens]

    @property
    def reaches(self) -> bool:
        """Whether anything at all may be reached."""
        return bool(self._reach)

    def may_reach(self, protocol: Transport, address: Address, port: int, names: Sequence[str] = ()) -> bool:
        """Whether a peer may be talked to.

        Args:
            protocol: How.
            address: Where.
            port: Which of its ports.
            names: Of which names a look-up has given that address.
        """
        return any(
            rule.host.covers(address) or any(rule.host.leads(name, address) for name in names)
            for rule in self._reach
            if rule.at(protocol, port)
        )

    def may_listen(self, protocol: Transport, address: Address, port: int) -> bool:
        """Whether a socket may be bound there, to take what comes; port 0: any that is free."""
        return any(rule.host.covers_bind(address) for rule in self._listen if rule.at(protocol, port))

    def may_look_up(self, name: str) -> bool:
        """Whether a name, in its one form, may be looked up."""
        return any(rule.host.covers_name(name) for rule in self._reach)

    def may_tell(self, name: str, address: Address) -> bool:
        """Whether an answer of a look-up is of use: whether some port of it may be talked to."""
        return any(rule.host.covers(address) or rule.host.leads(name, address) for rule in self._reach)


def parse_rule(pattern: str) -> SocketRule:
    """One rule, from its text.

    Raises:
        InvalidArgument: It is none.
    """
    try:
        return _parse(pattern)
    except InvalidArgument as error:
        raise InvalidArgument(f"allowed_sockets: {pattern!r}: {error.message}") from None


def _parse(pattern: str) -> SocketRule:
    form = _FORM.fullmatch(pattern)
    if form is None or "//" in pattern:
        raise InvalidArgument(_USAGE + "; without //, and an IPv6 address in brackets")
    listens, protocol = form["listen"] is not None, form["protocol"]
    if not form["host"] or form["host"] in _PREFIXES:
        raise InvalidArgument(f"it has no host: {_USAGE}")
    host = _host(form["host"])
    if listens and isinstance(host, (Named, Below)):
        raise InvalidArgument("one listens at an address, not at a name: write listen:127.0.0.1:8080")
    ports = _ports(form["ports"], least=0 if listens else 1)
    return SocketRule(host, ports, "tcp" if protocol == "tcp" else "udp" if protocol else None, listens)


def _host(text: str) -> Host:
    if text == "*":
        return AnyHost()
    if text.startswith("*."):
        suffix = parse_host(text[2:])
        if not isinstance(suffix, str):
            raise InvalidArgument(
                "*. stands before a name: for addresses name their network, as in 10.0.0.0/8"
            )
        return Below(suffix)
    if "*" in text:
        raise InvalidArgument("a * stands alone, or before the first dot of a name (*.example.com)")
    if "/" in text:
        return Within(_network(text))
    host = parse_host(text)
    return Named(host) if isinstance(host, str) else Within(ip_network(host))


def _network(text: str) -> Network:
    bare = text.removeprefix("[").removesuffix("]")
    try:
        network = ip_network(bare)
    except ValueError:
        try:
            loose = ip_network(bare, strict=False)
        except ValueError:
            raise InvalidArgument(f"{text} is no network: write 10.0.0.0/8 or [fd00::/8]") from None
        fix = f"[{loose}]" if loose.version == 6 else str(loose)
        raise InvalidArgument(f"{text} has bits beyond its prefix: write {fix}") from None
    if isinstance(network, IPv6Network) and network[0].ipv4_mapped is not None:
        raise InvalidArgument(f"{text} wraps IPv4 addresses: write these, as in 10.0.0.0/8")
    return network


def _ports(text: str, least: int) -> tuple[int, int]:
    if text == "*":
        return least, PORT_MAX
    form = _PORTS.fullmatch(text)
    if form is None:
        raise InvalidArgument(f"{text!r} is no port: write 5432, 8000-8100, or * for all of them")
    first = int(form[1])
    last = int(form[2] or first)
    if not least <= first <= last <= PORT_MAX:
        raise InvalidArgument(f"{text!r} is no port: they go from {least} to {PORT_MAX}, the lower one first")
    return first, last
