"""What one guest has of the network: what it has open, what it has learnt, and what it may do with that."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Protocol

from lath_host.engine.sockets.codes import SocketFailure
from lath_host.engine.sockets.endpoints import Endpoint
from lath_host.engine.sockets.loopback import Loopback
from lath_host.engine.sockets.network import Network
from lath_host.outbound.addresses import Address
from lath_host.outbound.socket_rules import Transport

GUEST_SOCKETS_MAX: Final = 128
"""Sockets that one guest may have open: each may hold 64 KiB of what it has written, so 8 MiB in all. The
ends of a connection of a guest to itself count beside its sockets."""
GUEST_LOOKUPS_MAX: Final = 16
"""Look-ups that one guest may have begun: more wait in nobody's memory."""
_LEARNED_MAX: Final = 256
"""Addresses of which is remembered, per guest, of what name they were the answer."""


class Closable(Protocol):
    """A socket of a guest."""

    def close(self) -> None:
        """Closes it, and says so (`GuestSockets.closed`)."""


class GuestSockets:
    """What one guest has of the network. Touched on the event loop only.

    Args:
        network: What its component may do.

    Attributes:
        network: As above.
        loopback: Where it talks to itself.
        listening: Where it listens itself.
        lookups: Look-ups that it has begun and not dropped.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.loopback = Loopback(self)
        self.listening: set[Endpoint] = set()
        self.lookups = 0
        self._open: set[Closable] = set()
        self._names: OrderedDict[Address, frozenset[str]] = OrderedDict()

    @staticmethod
    def over(network: Network | None) -> GuestSockets:
        """Those of a guest. Raises SocketFailure where its component has no network at all."""
        if network is None:
            raise SocketFailure("access-denied")
        return GuestSockets(network)

    def check(self) -> None:
        """Raises SocketFailure where one more socket would be too many."""
        if len(self._open) >= GUEST_SOCKETS_MAX:
            raise SocketFailure("new-socket-limit")
        self.network.budget.check()

    def opened(self, socket: Closable) -> None:
        """A socket is open, until `closed`. Call `check` first."""
        self._open.add(socket)
        self.network.budget.open += 1

    def closed(self, socket: Closable) -> None:
        """It is open no more."""
        if socket in self._open:
            self._open.remove(socket)
            self.network.budget.open -= 1

    def close(self) -> None:
        """The guest is gone, and with it all that it has open, whether or not it held a handle of it."""
        for socket in tuple(self._open):
            socket.close()

    def learn(self, name: str, addresses: Iterable[Address]) -> None:
        """A look-up of `name` has given these addresses."""
        for address in addresses:
            self._names[address] = self._names.get(address, frozenset()) | {name}
            self._names.move_to_end(address)
        while len(self._names) > _LEARNED_MAX:
            self._names.popitem(last=False)

    def reaches(self, protocol: Transport, peer: Endpoint) -> bool:
        """Whether it may talk to a peer."""
        names = tuple(self._names.get(peer.address, ()))
        return self.network.rules.may_reach(protocol, peer.address, peer.port, names)

    def unreachable(self, protocol: Transport, peer: Endpoint) -> SocketFailure:
        """The failure of talking to a peer that it may not talk to."""
        names = sorted(self._names.get(peer.address, ()))
        pattern = f"{names[0]}:{peer.port}" if names else str(peer)
        return self.network.denied(f"{protocol} to {peer}", f"{protocol}:{pattern}")

    def listens(self, protocol: Transport, local: Endpoint) -> bool:
        """Whether it may take what comes to a local address."""
        return self.network.rules.may_listen(protocol, local.address, local.port)

    def binds(self, protocol: Transport, local: Endpoint) -> bool:
        """Whether it may bind a socket to a local address: where it may listen, or to none in particular."""
        anywhere = local.address.is_unspecified and local.port == 0
        return (anywhere and self.network.rules.reaches) or self.listens(protocol, local)

    def unbindable(self, protocol: Transport, local: Endpoint) -> SocketFailure:
        """The failure of listening where it may not."""
        port = local.port or "*"
        pattern = f"listen:{protocol}:{str(local).rpartition(':')[0]}:{port}"
        return self.network.denied(f"{protocol} at {local}", pattern)
