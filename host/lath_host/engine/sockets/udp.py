"""`wasi:sockets/udp`: sockets that send datagrams, and receive them.

A guest receives what comes from whom it may send to. Where it may listen it receives from everybody, and may
send to those whom it has received from.
"""

from __future__ import annotations

import ctypes
import socket
from collections import OrderedDict
from enum import Enum, auto
from typing import Any, Final

from lath.errors import Trap
from lath_host.engine.sockets.codes import SocketFailure, code_of
from lath_host.engine.sockets.descriptor import Descriptor, new_system_socket
from lath_host.engine.sockets.endpoints import FAMILIES, FAMILY_NAMES, Endpoint, check_family, check_remote
from lath_host.engine.sockets.guest_sockets import GuestSockets
from lath_host.engine.sockets.options import of_all
from lath_host.engine.sockets.telling import told
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, Immediate, WasiGuest
from lath_host.engine.wasi.poll import Always, CallOff, Pollable, Wake

DATAGRAMS_MAX: Final = 16
"""That are received, or sent, in one go."""
DATAGRAM_BYTES_MAX: Final = 65_535
"""What the length of a datagram can say."""
_UNWANTED_MAX: Final = 64
"""Datagrams of others that one call throws away, so that whoever floods a guest does not hold the loop."""
_CALLERS_MAX: Final = 1024
"""Peers whom a socket that listens may answer: those that it has heard of last."""
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_NO_PEER: Final = bytes(28)
"""A `sockaddr` of no family, as long as the longest of them: to connect to it ends what was connected."""


class State(Enum):
    """Where a socket is in its life."""

    UNBOUND = auto()
    BINDING = auto()
    BOUND = auto()


class UdpSocket(Local):
    """A socket.

    Args:
        guest: Whose.
        family: As the system has it.
        system: What the system calls it; closed with this.

    Attributes:
        family: As above.
        descriptor: Its socket.
        state: Where it is in its life.
        peer: Whom it is limited to.
        streams: Those of its streams that the guest has not dropped.
    """

    def __init__(self, guest: WasiGuest, family: int, system: socket.socket) -> None:
        super().__init__()
        self.family = family
        self.descriptor = Descriptor(system)
        self.state = State.UNBOUND
        self.peer: Endpoint | None = None
        self.streams = 0
        self._sockets: GuestSockets = guest.sockets
        self._local: tuple[Any, ...] = ()
        self._serves = False
        self._callers: OrderedDict[Endpoint, None] = OrderedDict()
        self._sockets.opened(self)

    def start_bind(self, local: Endpoint) -> None:
        if self.state is State.BINDING:
            raise SocketFailure("concurrency-conflict")
        if self.state is not State.UNBOUND:
            raise SocketFailure("invalid-state")
        check_family(self.family, local)
        if not self._sockets.binds("udp", local):
            raise self._sockets.unbindable("udp", local)
        self.descriptor.system.bind(local.to_system())
        self._local = self.descriptor.system.getsockname()
        self._serves = self._sockets.listens("udp", local)
        self.state = State.BINDING

    def finish_bind(self) -> None:
        if self.state is not State.BINDING:
            raise SocketFailure("not-in-progress")
        self.state = State.BOUND

    def stream(self, peer: Endpoint | None) -> list[Local]:
        """Its streams, limited to a peer or to none."""
        if self.state is not State.BOUND:
            raise SocketFailure("invalid-state")
        if self.streams:
            raise Trap("it asked a udp-socket for streams before it dropped those that it had")
        if peer is not None:
            check_remote(peer)
            check_family(self.family, peer)
            self.check_peer(peer)
        if self.peer is not None:
            self._disconnect()
        if peer is not None:
            self.descriptor.system.connect(peer.to_system())
        self.peer = peer
        return [IncomingDatagrams(self), OutgoingDatagrams(self)]

    def _disconnect(self) -> None:
        self.peer = None
        system = self.descriptor.system
        if _LIBC.connect(system.fileno(), _NO_PEER, len(_NO_PEER)):
            raise OSError(ctypes.get_errno(), "")
        if system.getsockname()[1] != self._local[1]:
            system.bind(self._local)  # Linux takes back a port that nobody asked for by number

    def check_peer(self, peer: Endpoint) -> None:
        """Raises SocketFailure where it may not send to a peer."""
        if not (self._sockets.reaches("udp", peer) or peer in self._callers):
            raise self._sockets.unreachable("udp", peer)

    def receive(self) -> dict[str, Any] | None:
        """The next datagram that the guest may have; None: there is none yet."""
        for _ in range(_UNWANTED_MAX):
            try:
                data, address = self.descriptor.system.recvfrom(DATAGRAM_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                return None
            peer = Endpoint.from_system(address)
            if self.peer is not None and peer[:2] != self.peer[:2]:
                continue  # it came before the socket was limited to a peer
            if self._serves:
                self._callers[peer] = None
                self._callers.move_to_end(peer)
                if len(self._callers) > _CALLERS_MAX:
                    self._callers.popitem(last=False)
            elif not self._sockets.reaches("udp", peer):
                continue
            return {"data": data, "remote-address": peer.to_wire()}
        return None

    def send(self, datagram: dict[str, Any]) -> None:
        """Sends one. Raises BlockingIOError where there is no room for it."""
        named = datagram["remote-address"]
        peer = Endpoint.from_wire(named) if named is not None else self.peer
        if peer is None:
            raise SocketFailure("invalid-argument")
        check_remote(peer)
        check_family(self.family, peer)
        if self.peer not in (None, peer):
            raise SocketFailure("invalid-argument")
        self.check_peer(peer)
        if len(datagram["data"]) > DATAGRAM_BYTES_MAX:
            raise SocketFailure("datagram-too-large")
        if self.peer is not None:
            self.descriptor.system.send(datagram["data"])
        else:
            self.descriptor.system.sendto(datagram["data"], peer.to_system())

    def local_address(self) -> Endpoint:
        if self.state is not State.BOUND:
            raise SocketFailure("invalid-state")
        return Endpoint.from_system(self.descriptor.system.getsockname())

    def remote_address(self) -> Endpoint:
        if self.peer is None:
            raise SocketFailure("invalid-state")
        return self.peer

    def options(self) -> socket.socket:
        """What its options are set on (options.HasOptions)."""
        return self.descriptor.system

    def end(self) -> None:
        super().end()
        self.close()

    def close(self) -> None:
        """Closes it (guest_sockets.Closable)."""
        self.descriptor.close()
        self._sockets.closed(self)


class _DatagramStream(Local):
    """One of the two streams of a socket.

    Args:
        socket: Which.
    """

    def __init__(self, socket: UdpSocket) -> None:
        super().__init__(socket)
        self.socket = socket
        socket.streams += 1

    def end(self) -> None:
        super().end()
        self.socket.streams -= 1


class IncomingDatagrams(_DatagramStream):
    """What a socket receives."""

    def ready(self) -> bool:
        """Whether something has come (poll.Watched)."""
        return self.socket.descriptor.readable()

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once something may have come (poll.Watched)."""
        return self.socket.descriptor.watch_readable(wake)


class OutgoingDatagrams(_DatagramStream):
    """What a socket sends.

    Attributes:
        permitted: How many datagrams the guest may send next.
    """

    permitted = 0

    def ready(self) -> bool:
        """Whether there is room (poll.Watched)."""
        return self.socket.descriptor.writable()

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once there may be room (poll.Watched)."""
        return self.socket.descriptor.watch_writable(wake)


def _create(guest: WasiGuest, params: list[Any]) -> UdpSocket:
    family = FAMILIES[params[0]]
    guest.sockets.check()
    return UdpSocket(guest, family, new_system_socket(family, socket.SOCK_DGRAM))


def _stream(guest: WasiGuest, params: list[Any]) -> list[Local]:
    of, peer = params
    streams: list[Local] = of.stream(Endpoint.from_wire(peer) if peer is not None else None)
    return streams


def _receive(guest: WasiGuest, params: list[Any]) -> list[dict[str, Any]]:
    stream, wanted = params
    came: list[dict[str, Any]] = []
    while len(came) < min(wanted, DATAGRAMS_MAX):
        try:
            datagram = stream.socket.receive()
        except OSError:
            if not came:
                raise
            break
        if datagram is None:
            break
        came.append(datagram)
    return came


def _check_send(guest: WasiGuest, params: list[Any]) -> int:
    stream = params[0]
    stream.permitted = DATAGRAMS_MAX if stream.ready() else 0
    return DATAGRAMS_MAX if stream.permitted else 0


def _send(guest: WasiGuest, params: list[Any]) -> int:
    stream, datagrams = params
    if not datagrams:
        return 0
    if len(datagrams) > stream.permitted:
        raise Trap(f"it sent {len(datagrams)} datagrams where check-send permits {stream.permitted}")
    stream.permitted = 0
    sent = 0
    for datagram in datagrams:
        try:
            stream.socket.send(datagram)
        except (BlockingIOError, InterruptedError):
            break
        except (SocketFailure, OSError) as error:
            if not sent:
                raise SocketFailure(code_of(error)) from None
            break
        sent += 1
    return sent


_SOCKET: Final[dict[str, Immediate]] = {
    "start-bind": told(lambda guest, params: params[0].start_bind(Endpoint.from_wire(params[2]))),
    "finish-bind": told(lambda guest, params: params[0].finish_bind()),
    "stream": told(_stream),
    "local-address": told(lambda guest, params: params[0].local_address().to_wire()),
    "remote-address": told(lambda guest, params: params[0].remote_address().to_wire()),
    "address-family": lambda guest, params: FAMILY_NAMES[params[0].family],
    "subscribe": lambda guest, params: Pollable(Always(), params[0]),
} | {name: told(work) for name, work in of_all("unicast-hop-limit").items()}
_METHODS: Final[dict[str, Immediate]] = {
    **{f"[method]udp-socket.{name}": answer for name, answer in _SOCKET.items()},
    "[method]incoming-datagram-stream.receive": told(_receive),
    "[method]incoming-datagram-stream.subscribe": lambda guest, params: Pollable(params[0], params[0]),
    "[method]outgoing-datagram-stream.check-send": told(_check_send),
    "[method]outgoing-datagram-stream.send": told(_send),
    "[method]outgoing-datagram-stream.subscribe": lambda guest, params: Pollable(params[0], params[0]),
}
ANSWERS: Final = {("wasi:sockets/udp", name): Answer(answer) for name, answer in _METHODS.items()} | {
    ("wasi:sockets/udp-create-socket", "create-udp-socket"): Answer(told(_create))
}
