"""Addresses of networks and hosts: `inet` and `cidr`."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

_FAMILIES: Final = {2: 4, 3: 6}
"""PostgreSQL's numbers of them, and the versions of IP."""
_HEADER: Final = ">BBBB"


def decode_inet(data: bytes) -> str:
    """An address; with the length of its network where that is not of the one address."""
    return str(_interface(data)).removesuffix(_alone(data))


def decode_cidr(data: bytes) -> str:
    """A network, always with its length."""
    return str(_interface(data))


def _interface(data: bytes) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    _, bits, _, _ = struct.unpack_from(_HEADER, data)
    return ipaddress.ip_interface((data[4:], bits))


def _alone(data: bytes) -> str:
    return f"/{8 * (len(data) - 4)}"


def encode_inet(text: str) -> bytes:
    """Raises `ValueError` where it is no address."""
    return _packed(ipaddress.ip_interface(text), cidr=False)


def encode_cidr(text: str) -> bytes:
    """Raises `ValueError` where it is no network, or names a host in it."""
    network = ipaddress.ip_network(text)
    return _packed(ipaddress.ip_interface(str(network)), cidr=True)


def _packed(interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface, *, cidr: bool) -> bytes:
    family = next(number for number, version in _FAMILIES.items() if version == interface.version)
    address = interface.ip.packed
    return struct.pack(_HEADER, family, interface.network.prefixlen, cidr, len(address)) + address
