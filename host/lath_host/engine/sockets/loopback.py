"""The loopback that a guest has within itself: what it listens at, only it can connect to.

Event loops wake themselves through a pair of sockets, which where there is no `socketpair` (as in Python
guests) is made by listening on loopback and connecting to that. So a guest may do this without any rule, but
none of it touches the system's loopback: a connection is a pair of the process's own, and ports are the
guest's own too. Both of the pair count among the guest's sockets from the start, accepted or not.
"""

from __future__ import annotations

import socket
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

from lath_host.engine.sockets.codes import SocketFailure
from lath_host.engine.sockets.descriptor import Descriptor
from lath_host.engine.sockets.endpoints import Endpoint
from lath_host.engine.wasi.poll import Signal

_FIRST_PORT: Final = 49_152
_LAST_PORT: Final = 65_535
"""The ports that systems give to those who ask for any (RFC 6335)."""


@dataclass(frozen=True, slots=True)
class OwnEnd:
    """One end of a connection of a guest to itself.

    Attributes:
        carrier: What carries its bytes.
        local: Its address.
        remote: That of the other end.
    """

    carrier: Descriptor
    local: Endpoint
    remote: Endpoint


@dataclass(slots=True)
class OwnListener:
    """Where a guest listens for itself.

    Attributes:
        backlog: How many connections may wait to be accepted.
        waiting: Those that do.
        changed: Told when one comes.
    """

    backlog: int
    waiting: deque[OwnEnd] = field(default_factory=deque)
    changed: Signal = field(default_factory=Signal)


class Account(Protocol):
    """Counts what a guest has open."""

    def check(self) -> None:
        """Raises SocketFailure where one more would be too many."""

    def opened(self, socket: Descriptor) -> None:
        """It counts from now on."""

    def closed(self, socket: Descriptor) -> None:
        """It counts no more."""


class Loopback:
    """All that one guest listens at for itself.

    Args:
        account: Counts the ends of its connections.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._listeners: dict[Endpoint, OwnListener] = {}
        self._ports = count()

    def bind(self, local: Endpoint) -> Endpoint:
        """A local address with a port of its own."""
        port = _FIRST_PORT + next(self._ports) % (_LAST_PORT - _FIRST_PORT + 1)
        return local._replace(port=port)

    def listen(self, local: Endpoint, backlog: int) -> OwnListener:
        """Takes connections there from now on."""
        if local in self._listeners:
            raise SocketFailure("address-in-use")
        listener = self._listeners[local] = OwnListener(backlog)
        return listener

    def has(self, remote: Endpoint) -> bool:
        """Whether the guest listens there for itself."""
        return remote in self._listeners

    def connect(self, remote: Endpoint) -> OwnEnd:
        """One end of a new connection; the other waits to be accepted.

        Raises:
            SocketFailure: Too many wait already, or are open.
        """
        listener = self._listeners[remote]
        if len(listener.waiting) >= listener.backlog:
            raise SocketFailure("connection-refused")
        self._account.check()
        near, far = map(Descriptor, socket.socketpair())
        for carrier in (near, far):
            self._account.opened(carrier)
        local = self.bind(remote)
        listener.waiting.append(OwnEnd(far, remote, local))
        listener.changed.notify()
        return OwnEnd(near, local, remote)

    def close(self, local: Endpoint) -> None:
        """Takes no more connections there, and ends those that wait."""
        listener = self._listeners.pop(local, None)
        if listener is not None:
            for end in listener.waiting:
                self.release(end.carrier)

    def release(self, carrier: Descriptor) -> None:
        """Closes an end of a connection."""
        carrier.close()
        self._account.closed(carrier)
