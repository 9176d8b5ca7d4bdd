"""Addresses of sockets: as guests write them, as the system wants them, and which of them are none."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, NamedTuple

from lath_host.engine.sockets.codes import SocketFailure
from lath_host.outbound.addresses import Address

FAMILIES: Final = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
FAMILY_NAMES: Final = {family: name for name, family in FAMILIES.items()}
_BROADCAST: Final = IPv4Address("255.255.255.255")
_COMPATIBLE: Final = 1 << 32
"""IPv6 addresses below it are `::`, `::1`, and a deprecated form of IPv4 ones."""
_HEXTETS: Final = range(0, 16, 2)


class Endpoint(NamedTuple):
    """An address and a port.

    Attributes:
        address: With no zone.
        port: From 0 on.
        flow_info: Of IPv6.
        scope_id: Of IPv6.
    """

    address: Address
    port: int
    flow_info: int = 0
    scope_id: int = 0

    @staticmethod
    def from_wire(value: dict[str, Any]) -> Endpoint:
        """From an `ip-socket-address`."""
        ((case, fields),) = value.items()
        address = address_from_wire({case: fields["address"]})
        if case == "ipv4":
            return Endpoint(address, fields["port"])
        return Endpoint(address, fields["port"], fields["flow-info"], fields["scope-id"])

    @staticmethod
    def from_system(value: tuple[Any, ...]) -> Endpoint:
        """From what Python's sockets give."""
        if len(value) == 2:
            return Endpoint(IPv4Address(value[0]), value[1])
        host, port, flow_info, scope_id = value
        return Endpoint(IPv6Address(host.partition("%")[0]), port, flow_info, scope_id)

    def to_wire(self) -> dict[str, Any]:
        """As an `ip-socket-address`."""
        ((case, parts),) = address_to_wire(self.address).items()
        if case == "ipv4":
            return {case: {"port": self.port, "address": parts}}
        return {
            case: {
                "port": self.port,
                "flow-info": self.flow_info,
                "address": parts,
                "scope-id": self.scope_id,
            }
        }

    def to_system(self) -> tuple[Any, ...]:
        """As Python's sockets take it."""
        if isinstance(self.address, IPv4Address):
            return str(self.address), self.port
        return str(self.address), self.port, self.flow_info, self.scope_id

    def __str__(self) -> str:
        """As a pattern has it."""
        bracketed = f"[{self.address}]" if isinstance(self.address, IPv6Address) else str(self.address)
        return f"{bracketed}:{self.port}"


def address_from_wire(value: dict[str, Any]) -> Address:
    """From an `ip-address`."""
    ((case, parts),) = value.items()
    if case == "ipv4":
        return IPv4Address(bytes(parts))
    return IPv6Address(b"".join(part.to_bytes(2, "big") for part in parts))


def address_to_wire(address: Address) -> dict[str, Any]:
    """As an `ip-address`."""
    packed = address.packed
    if isinstance(address, IPv4Address):
        return {"ipv4": list(packed)}
    return {"ipv6": [int.from_bytes(packed[at : at + 2], "big") for at in _HEXTETS]}


def check_family(family: int, endpoint: Endpoint) -> None:
    """Raises SocketFailure where an address is not of a socket's family, or only wraps one of another."""
    address = endpoint.address
    fits = address.version == (4 if family == socket.AF_INET else 6)
    if not fits or (isinstance(address, IPv6Address) and _wraps(address)):
        raise SocketFailure("invalid-argument")


def check_unicast(endpoint: Endpoint) -> None:
    """Raises SocketFailure where an address is of many."""
    if endpoint.address.is_multicast or endpoint.address == _BROADCAST:
        raise SocketFailure("invalid-argument")


def check_remote(endpoint: Endpoint) -> None:
    """Raises SocketFailure where nobody can be behind an address."""
    if endpoint.address.is_unspecified or endpoint.port == 0:
        raise SocketFailure("invalid-argument")


def _wraps(address: IPv6Address) -> bool:
    number = int(address)
    return address.ipv4_mapped is not None or 1 < number < _COMPATIBLE
