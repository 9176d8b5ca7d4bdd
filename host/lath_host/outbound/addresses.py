"""Hosts as they are written, and what kind of network an address belongs to.

What a component was given names hosts; what is connected to is an address. Both are brought into one form
here, so that no other way of writing a host gets around what was given: there is one spelling of each, and
what has another reading somewhere (`0177.0.0.1`, `2130706433`, `127.1`) is refused.
"""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from lath.errors import InvalidArgument

Address = IPv4Address | IPv6Address
NAME_CHARACTERS_MAX: Final = 253
"""Of a name without its final dot (RFC 1035, 2.3.4)."""
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
"""With `_`, which names of hosts should not have and some do."""
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label by which C libraries and browsers take the whole for an IPv4 address."""


class AddressKind(StrEnum):
    """What an address belongs to: who may be behind it."""

    PUBLIC = "public"
    """Reached from everywhere."""
    PRIVATE = "private"
    """A network of one's own (RFC 1918, RFC 4193)."""
    SHARED = "shared"
    """Between a provider of networks and its customers (RFC 6598), and what clusters use it for."""
    LOOPBACK = "loopback"
    """The host's own machine."""
    LINK_LOCAL = "link-local"
    """The network at hand, where clouds keep what tells machines their credentials."""
    METADATA = "metadata"
    """Where a cloud does so at an address of another kind."""
    MULTICAST = "multicast"
    """Many at once."""
    UNSPECIFIED = "unspecified"
    """No address at all; to connect to it leads to the machine itself."""
    RESERVED = "reserved"
    """Set aside: for documentation, for tunnels and translations that end nobody knows where, for later."""


BY_NAME: Final = frozenset({AddressKind.PUBLIC, AddressKind.PRIVATE, AddressKind.SHARED})
"""What a name that was given in full may lead to. Whoever answers for a name can have it lead anywhere: to
anything else leads only the address itself, or `localhost` to loopback."""

_KINDS_V4: Final = (
    # IANA's special-purpose registry (RFC 6890), as of 2025; what it calls global is public
    ("0.0.0.0/8", AddressKind.UNSPECIFIED),
    ("10.0.0.0/8", AddressKind.PRIVATE),
    ("100.64.0.0/10", AddressKind.SHARED),
    ("127.0.0.0/8", AddressKind.LOOPBACK),
    ("169.254.0.0/16", AddressKind.LINK_LOCAL),
    ("172.16.0.0/12", AddressKind.PRIVATE),
    ("192.0.0.0/24", AddressKind.RESERVED),
    ("192.0.2.0/24", AddressKind.RESERVED),
    ("192.88.99.0/24", AddressKind.RESERVED),
    ("192.168.0.0/16", AddressKind.PRIVATE),
    ("198.18.0.0/15", AddressKind.RESERVED),
    ("198.51.100.0/24", AddressKind.RESERVED),
    ("203.0.113.0/24", AddressKind.RESERVED),
    ("224.0.0.0/4", AddressKind.MULTICAST),
    ("240.0.0.0/4", AddressKind.RESERVED),
)
_KINDS_V6: Final = (
    ("::/128", AddressKind.UNSPECIFIED),
    ("::1/128", AddressKind.LOOPBACK),
    ("fc00::/7", AddressKind.PRIVATE),
    ("fe80::/10", AddressKind.LINK_LOCAL),
    ("ff00::/8", AddressKind.MULTICAST),
    ("2001::/23", AddressKind.RESERVED),  # Teredo among others
    ("2001:db8::/32", AddressKind.RESERVED),
    ("2002::/16", AddressKind.RESERVED),  # 6to4, which has any IPv4 address inside
    ("3fff::/20", AddressKind.RESERVED),
    ("2000::/3", AddressKind.PUBLIC),  # all that is given out to be reached; nothing outside is
)
_METADATA: Final = frozenset(
    map(
        ip_address,
        (
            "168.63.129.16",  # Azure
            "100.100.100.200",  # Alibaba Cloud
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google Cloud
            "fd00:42::42",  # Scaleway
        ),
    )
)
_NETWORKS_V4: Final = tuple((IPv4Network(text), kind) for text, kind in _KINDS_V4)
_NETWORKS_V6: Final = tuple((IPv6Network(text), kind) for text, kind in _KINDS_V6)
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""An IPv4 address behind a translator (RFC 6052): on a network without IPv4, every public one."""


def parse_host(text: str) -> Address | str:
    """A host, in its one form.

    Args:
        text: An IPv4 address of four decimal numbers, an IPv6 address in brackets, or a name in ASCII (with
            its international labels as `xn--…`), in any case, with or without its final dot.

    Returns:
        The address, IPv4 where an IPv6 address only wraps one; or the name in lower case without its final
        dot.

    Raises:
        InvalidArgument: It is none of these; the message says what to write in its place.
    """
    if text.startswith("[") and text.endswith("]"):
        return _parse_v6(text[1:-1])
    if not text.isascii():
        raise InvalidArgument(f"{text!r} is not ASCII: write international names in that form (xn--…)")
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return IPv4Address(name)
        except ValueError:
            raise InvalidArgument(
                f"{text!r} would be read as an IPv4 address, and is not one of four decimal numbers from"
                " 0 to 255: write it like that"
            ) from None
    if ":" in name:
        raise InvalidArgument(f"{text!r} is no name: an IPv6 address stands in brackets, as in [2001:db8::1]")
    if len(name) > NAME_CHARACTERS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise InvalidArgument(f"{text!r} is no name of a host: labels of letters, digits, - and _, with dots")
    return name


def _parse_v6(text: str) -> Address:
    if "%" in text:
        raise InvalidArgument(f"[{text}] has a zone, which means something on one machine only: leave it out")
    try:
        return canonical(IPv6Address(text))
    except ValueError:
        raise InvalidArgument(f"[{text}] is no IPv6 address") from None


def resolved(host: str) -> Address:
    """An address as a look-up gives it, in its one form; a zone does not count."""
    return canonical(ip_address(host.partition("%")[0]))


def canonical(address: Address) -> Address:
    """The IPv4 address where an IPv6 one only wraps it (`::ffff:127.0.0.1`): systems connect to that."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def kind_of(address: Address) -> AddressKind:
    """What an address belongs to; of one behind a translator (NAT64), what the IPv4 address in it does."""
    address = canonical(address)
    if address in _METADATA:
        return AddressKind.METADATA
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _NETWORKS_V4 if address in network), AddressKind.PUBLIC)
    if address in _NAT64:
        return kind_of(IPv4Address(int(address) & 0xFFFF_FFFF))
    return next((kind for network, kind in _NETWORKS_V6 if address in network), AddressKind.RESERVED)


def is_localhost(name: str) -> bool:
    """Whether a name means the machine itself wherever it is asked (RFC 6761, 6.3); it is not looked up."""
    return name == "localhost" or name.endswith(".localhost")


def reached_by_name(name: str, address: Address) -> bool:
    """Whether a name that was given in full may lead to an address.

    Args:
        name: In its one form.
        address: What it leads to.
    """
    kind = kind_of(address)
    return kind in BY_NAME or (kind is AddressKind.LOOPBACK and is_localhost(name))
