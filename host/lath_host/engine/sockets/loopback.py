"""The loopback that a guest has within itself: what it listens at, only it can connect to.

Event loops wake themselves through a pair of sockets, which where there is no `socketpair` (as in Python
guests) is made by listening on loopback and connecting to that. So a guest may do this without any rule, but
none of it touches the system's loopback: a connection is a pair of the process's own, and ports are the
guest's own too.
"""

from __future__ import annotations

import socket
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from lath_host.engine.sockets.codes import SocketFailure
from lath_host.engine.sockets.endpoints import Endpoint
from lath_host.engine.wasi.poll import Signal

_FIRST_PORT: Final = 49_152
_LAST_PORT: Final = 65_535
"""The ports that systems give to those who ask for any (RFC 6335)."""


@dataclass(frozen=True, slots=True)
class OwnEnd:
    """One end of a connection of a guest to itself.

    Attributes:
        system: What carries its bytes.
        local: Its address.
        remote: That of the other end.
    """

    system: socket.socket
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


class Loopback:
    """All that one guest listens at for itself."""

    def __init__(self) -> None:
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
            SocketFailure: Too many wait already.
        """
        listener = self._listeners[remote]
        if len(listener.waiting) >= listener.backlog:
            raise SocketFailure("connection-refused")
        near, far = socket.socketpair()
        local = self.bind(remote)
        listener.waiting.append(OwnEnd(far, remote, local))
        listener.changed.notify()
        return OwnEnd(near, local, remote)

    def close(self, local: Endpoint) -> None:
        """Takes no more connections there, and ends those that wait."""
        listener = self._listeners.pop(local, None)
        if listener is not None:
            for end in listener.waiting:
                end.system.close()
