"""Options of sockets, which TCP and UDP have in common, and those of TCP. All of them are the system's own.

Values are clamped where the standard lets them be: what a guest sets is a wish.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from lath_host.engine.sockets.codes import SocketFailure
from lath_host.engine.wasi import WasiGuest

_NS_PER_S: Final = 1_000_000_000
_KEEP_ALIVE_SECONDS_MAX: Final = 32_767
_KEEP_ALIVE_COUNT_MAX: Final = 127
"""What Linux takes at most."""
BUFFER_BYTES_MAX: Final = 1 << 20
"""Of a buffer that the system keeps for one socket and direction. What the system allows is less, mostly."""
_DOUBLED: Final = 2
"""Linux makes buffers twice as large as it is asked to, for its own use, and says so when it is asked."""
_IDLE: Final = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0))
_HOPS: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TTL),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
}


class HasOptions(Protocol):
    """A guest's socket."""

    def options(self) -> socket.socket:
        """What the options are set on. Raises SocketFailure where it is closed."""


Work = Callable[[WasiGuest, list[Any]], Any]


def _reading(level: int, name: int, scale: int = 1) -> Work:
    return lambda guest, params: params[0].options().getsockopt(level, name) * scale


def _setting(level: int, name: int, least: int, most: int, scale: int = 1) -> Work:
    def work(guest: WasiGuest, params: list[Any]) -> None:
        of, value = params
        if value == 0:
            raise SocketFailure("invalid-argument")
        of.options().setsockopt(level, name, min(max(value // scale, least), most))

    return work


def _reading_buffer(name: int) -> Work:
    return lambda guest, params: params[0].options().getsockopt(socket.SOL_SOCKET, name) // _DOUBLED


def _hop_limit(guest: WasiGuest, params: list[Any]) -> int:
    system = params[0].options()
    hops: int = system.getsockopt(*_HOPS[system.family])
    return hops


def _set_hop_limit(guest: WasiGuest, params: list[Any]) -> None:
    of, value = params
    if value == 0:
        raise SocketFailure("invalid-argument")
    system = of.options()
    system.setsockopt(*_HOPS[system.family], value)


def _keep_alive(guest: WasiGuest, params: list[Any]) -> bool:
    return bool(params[0].options().getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


def _set_keep_alive(guest: WasiGuest, params: list[Any]) -> None:
    params[0].options().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, params[1])


def of_all(hop_limit: str) -> dict[str, Work]:
    """The functions of every socket.

    Args:
        hop_limit: What the standard calls the limit of hops.
    """
    buffer = (socket.SOL_SOCKET, socket.SO_RCVBUF), (socket.SOL_SOCKET, socket.SO_SNDBUF)
    return {
        hop_limit: _hop_limit,
        f"set-{hop_limit}": _set_hop_limit,
        "receive-buffer-size": _reading_buffer(socket.SO_RCVBUF),
        "set-receive-buffer-size": _setting(*buffer[0], 1, BUFFER_BYTES_MAX),
        "send-buffer-size": _reading_buffer(socket.SO_SNDBUF),
        "set-send-buffer-size": _setting(*buffer[1], 1, BUFFER_BYTES_MAX),
    }


OF_TCP: Final[dict[str, Work]] = of_all("hop-limit") | {
    "keep-alive-enabled": _keep_alive,
    "set-keep-alive-enabled": _set_keep_alive,
    "keep-alive-idle-time": _reading(socket.IPPROTO_TCP, _IDLE, _NS_PER_S),
    "set-keep-alive-idle-time": _setting(socket.IPPROTO_TCP, _IDLE, 1, _KEEP_ALIVE_SECONDS_MAX, _NS_PER_S),
    "keep-alive-interval": _reading(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _NS_PER_S),
    "set-keep-alive-interval": _setting(
        socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1, _KEEP_ALIVE_SECONDS_MAX, _NS_PER_S
    ),
    "keep-alive-count": _reading(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    "set-keep-alive-count": _setting(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1, _KEEP_ALIVE_COUNT_MAX),
}
