"""`wasi:sockets/tcp`: sockets that connect, listen and accept, one state after the other.

The states and what leads from one to another are those of TcpSocketOperationalSemantics.md of WASI 0.2. To
bind and to listen is done when it is begun; `finish-…` only says so.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

from lath_host.engine.sockets.codes import SocketFailure
from lath_host.engine.sockets.connection import Connection, ConnectionInput, ConnectionOutput
from lath_host.engine.sockets.descriptor import Descriptor, new_system_socket
from lath_host.engine.sockets.endpoints import (
    FAMILIES,
    FAMILY_NAMES,
    Endpoint,
    check_family,
    check_remote,
    check_unicast,
)
from lath_host.engine.sockets.guest_sockets import GuestSockets
from lath_host.engine.sockets.loopback import OwnEnd, OwnListener
from lath_host.engine.sockets.options import OF_TCP
from lath_host.engine.sockets.telling import told
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, Immediate, WasiGuest
from lath_host.engine.wasi.poll import CallOff, Pollable, Wake

_BACKLOG: Final = 128
BACKLOG_MAX: Final = 4096
"""Connections that may wait to be accepted: as many as Linux lets wait by default."""


class State(Enum):
    """Where a socket is in its life."""

    UNBOUND = auto()
    BINDING = auto()
    BOUND = auto()
    BEGINNING_TO_LISTEN = auto()
    LISTENING = auto()
    CONNECTING = auto()
    CONNECTED = auto()
    CLOSED = auto()


_IN_PROGRESS: Final = frozenset({State.BINDING, State.BEGINNING_TO_LISTEN, State.CONNECTING})
_WITHOUT_ADDRESS: Final = frozenset({State.UNBOUND, State.BINDING, State.CLOSED})


class TcpSocket(Local):
    """A socket.

    Args:
        guest: Whose.
        family: As the system has it.
        system: What the system calls it; closed with this.

    Attributes:
        family: As above.
        state: Where it is in its life.
    """

    def __init__(self, guest: WasiGuest, family: int, system: socket.socket) -> None:
        super().__init__()
        self.family = family
        self.state = State.UNBOUND
        self._guest = guest
        self._sockets: GuestSockets = guest.sockets
        self._descriptor = Descriptor(system)
        self._backlog = _BACKLOG
        self._may_listen = False
        self._own_listener: OwnListener | None = None
        self._own: tuple[Endpoint, Endpoint | None] | None = None
        """Its addresses, and its peer's, on the guest's own loopback."""
        self._carrier: Descriptor | None = None
        self._connection: Connection | None = None
        self._sockets.opened(self)

    # -- to bind and to listen -------------------------------------------------------------------------------

    def start_bind(self, local: Endpoint) -> None:
        self._check(State.UNBOUND)
        check_unicast(local)
        check_family(self.family, local)
        sockets = self._sockets
        if sockets.binds("tcp", local):
            self._descriptor.system.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._descriptor.system.bind(local.to_system())
            self._may_listen = sockets.listens("tcp", local)
        elif local.address.is_loopback and local.port == 0:
            self._own = (sockets.loopback.bind(local), None)
        else:
            raise sockets.unbindable("tcp", local)
        self.state = State.BINDING

    def start_listen(self) -> None:
        self._check(State.BOUND)
        local = self.local_address()
        try:
            if self._own is not None:
                self._own_listener = self._sockets.loopback.listen(local, min(self._backlog, _BACKLOG))
            elif self._may_listen:
                self._descriptor.system.listen(self._backlog)
                self._sockets.listening.add(local)
            else:
                raise self._sockets.unbindable("tcp", local)
        except (SocketFailure, OSError):
            self.state = State.CLOSED
            raise
        self.state = State.BEGINNING_TO_LISTEN

    def finish(self, from_: State, to: State) -> None:
        """Ends what was done when it was begun."""
        if self.state is not from_:
            raise SocketFailure("not-in-progress")
        self.state = to

    def accept(self) -> list[Local]:
        if self.state is not State.LISTENING:
            raise SocketFailure("invalid-state")
        if not self.ready():
            raise SocketFailure("would-block")
        self._sockets.check()
        try:
            return self._accepted()
        except BlockingIOError:
            raise SocketFailure("would-block") from None

    def _accepted(self) -> list[Local]:
        if self._own_listener is not None:
            accepted = TcpSocket(self._guest, self.family, new_system_socket(self.family, socket.SOCK_STREAM))
            accepted.join(self._own_listener.waiting.popleft())
        else:
            system, _ = self._descriptor.system.accept()
            accepted = TcpSocket(self._guest, self.family, system)
        return [accepted, *accepted.connected()]

    def set_backlog(self, size: int) -> None:
        if size == 0:
            raise SocketFailure("invalid-argument")
        if self.state in (State.CONNECTING, State.CONNECTED, State.CLOSED):
            raise SocketFailure("invalid-state")
        self._backlog = min(size, BACKLOG_MAX)
        if self.state is State.LISTENING and self._own_listener is None:
            self._descriptor.system.listen(self._backlog)

    # -- to connect ------------------------------------------------------------------------------------------

    def start_connect(self, remote: Endpoint) -> None:
        self._check(State.UNBOUND, State.BOUND)
        check_unicast(remote)
        check_remote(remote)
        check_family(self.family, remote)
        try:
            self._connect(remote)
        except (SocketFailure, OSError):
            self.state = State.CLOSED
            raise
        self.state = State.CONNECTING

    def _connect(self, remote: Endpoint) -> None:
        sockets = self._sockets
        if sockets.loopback.has(remote):
            self.join(sockets.loopback.connect(remote))
            return
        if not (remote in sockets.listening or sockets.reaches("tcp", remote)):
            raise sockets.unreachable("tcp", remote)
        self._own = None
        number = self._descriptor.system.connect_ex(remote.to_system())
        if number == errno.EADDRNOTAVAIL:
            raise SocketFailure("address-in-use")  # there is no port left to connect from
        if number not in (0, errno.EINPROGRESS):
            raise OSError(number, "")

    def finish_connect(self) -> list[Local]:
        if self.state is not State.CONNECTING:
            raise SocketFailure("not-in-progress")
        if not self.ready():
            raise SocketFailure("would-block")
        number = self._descriptor.system.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.state = State.CLOSED
            raise OSError(number, "")
        return self.connected()

    def join(self, end: OwnEnd) -> None:
        """Its bytes go over a connection of the guest to itself from now on."""
        self._own = (end.local, end.remote)
        self._carrier = end.carrier

    def connected(self) -> list[Local]:
        """Its streams, now that it is connected."""
        self.state = State.CONNECTED
        self._connection = Connection(
            self._carrier or self._descriptor, self._guest.spawn_lasting, self._closed
        )
        return [ConnectionInput(self._connection, self), ConnectionOutput(self._connection, self)]

    def shutdown(self, how: str) -> None:
        if self.state is not State.CONNECTED or self._connection is None:
            raise SocketFailure("invalid-state")
        if how != "send":
            self._connection.end_reading()
        if how != "receive":
            self._connection.end_writing()

    # -- what it says of itself ------------------------------------------------------------------------------

    def local_address(self) -> Endpoint:
        if self.state in _WITHOUT_ADDRESS:
            raise SocketFailure("invalid-state")
        if self._own is not None:
            return self._own[0]
        return Endpoint.from_system(self._descriptor.system.getsockname())

    def remote_address(self) -> Endpoint:
        if self.state is not State.CONNECTED:
            raise SocketFailure("invalid-state")
        if self._own is not None and self._own[1] is not None:
            return self._own[1]
        return Endpoint.from_system(self._descriptor.system.getpeername())

    def options(self) -> socket.socket:
        """What its options are set on (options.HasOptions)."""
        if self.state is State.CLOSED:
            raise SocketFailure("invalid-state")
        return self._descriptor.system

    def ready(self) -> bool:
        """Whether what was begun can be finished, or a connection accepted (poll.Watched)."""
        if self.state is State.CONNECTING:
            return self._own is not None or self._descriptor.writable()
        if self.state is State.LISTENING:
            own = self._own_listener
            return bool(own.waiting) if own is not None else self._descriptor.readable()
        return True

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once it may be ready (poll.Watched)."""
        if self.state is State.LISTENING and self._own_listener is not None:
            return self._own_listener.changed.watch(wake)
        if self.state is State.LISTENING:
            return self._descriptor.watch_readable(wake)
        return self._descriptor.watch_writable(wake)

    def end(self) -> None:
        super().end()
        self.close()

    def close(self) -> None:
        """Closes it (guest_sockets.Closable)."""
        if self._own_listener is not None and self._own is not None:
            self._sockets.loopback.close(self._own[0])
        elif self.state in (State.BEGINNING_TO_LISTEN, State.LISTENING):
            self._sockets.listening.discard(self.local_address())
        self.state = State.CLOSED
        if self._connection is not None:
            self._connection.close()
        else:
            self._closed()

    def _closed(self) -> None:
        if self._carrier is not None:
            self._sockets.loopback.release(self._carrier)
        self._descriptor.close()
        self._sockets.closed(self)

    def _check(self, *states: State) -> None:
        if self.state in _IN_PROGRESS:
            raise SocketFailure("concurrency-conflict")
        if self.state not in states:
            raise SocketFailure("invalid-state")


def _create(guest: WasiGuest, params: list[Any]) -> TcpSocket:
    family = FAMILIES[params[0]]
    guest.sockets.check()
    return TcpSocket(guest, family, new_system_socket(family, socket.SOCK_STREAM))


def _with_address(work: Callable[[TcpSocket, Endpoint], None]) -> Immediate:
    return told(lambda guest, params: work(params[0], Endpoint.from_wire(params[2])))


_SOCKET: Final = "[method]tcp-socket."
_METHODS: Final[dict[str, Immediate]] = {
    "start-bind": _with_address(TcpSocket.start_bind),
    "finish-bind": told(lambda guest, params: params[0].finish(State.BINDING, State.BOUND)),
    "start-connect": _with_address(TcpSocket.start_connect),
    "finish-connect": told(lambda guest, params: params[0].finish_connect()),
    "start-listen": told(lambda guest, params: params[0].start_listen()),
    "finish-listen": told(lambda guest, params: params[0].finish(State.BEGINNING_TO_LISTEN, State.LISTENING)),
    "accept": told(lambda guest, params: params[0].accept()),
    "local-address": told(lambda guest, params: params[0].local_address().to_wire()),
    "remote-address": told(lambda guest, params: params[0].remote_address().to_wire()),
    "is-listening": lambda guest, params: params[0].state is State.LISTENING,
    "address-family": lambda guest, params: FAMILY_NAMES[params[0].family],
    "set-listen-backlog-size": told(lambda guest, params: params[0].set_backlog(params[1])),
    "subscribe": lambda guest, params: Pollable(params[0], params[0]),
    "shutdown": told(lambda guest, params: params[0].shutdown(params[1])),
} | {name: told(work) for name, work in OF_TCP.items()}
ANSWERS: Final = {
    ("wasi:sockets/tcp", _SOCKET + name): Answer(answer) for name, answer in _METHODS.items()
} | {("wasi:sockets/tcp-create-socket", "create-tcp-socket"): Answer(told(_create))}
