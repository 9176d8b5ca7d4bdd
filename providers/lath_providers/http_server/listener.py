"""A listener: the sockets at one address, their connections, and the routes of the links that share it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from lath import telemetry
from lath.errors import Unavailable
from lath_providers.http_server.config import Address, ListenerSettings
from lath_providers.http_server.exchange import LINGER_S, Front
from lath_providers.http_server.greeting import Greeting
from lath_providers.http_server.handler import Handler, Serve
from lath_providers.http_server.routes import Routes
from lath_providers.http_server.served import ServedLink
from lath_providers.http_server.tls import server_tls

BACKLOG: Final = 1_024
"""Connections that the kernel keeps until they are accepted; it may allow fewer (net.core.somaxconn)."""

_log = telemetry.get_logger("lath.http")


class Listener:
    """Open from its first link to its last.

    Args:
        settings: Its links agree on them.
        serve: Calls components.
        has_room: Whether the process may have one more connection.

    Attributes:
        address: Where it listens; with the port that was free, where none was named. None: it does not.
        routes: Those of its links.
        draining: Links that leave or have left, and whose requests may still run.
    """

    def __init__(self, settings: ListenerSettings, serve: Serve, has_room: Callable[[], bool]) -> None:
        self.settings: Final = settings
        self.address: Address | None = None
        self.routes: Final[Routes[ServedLink]] = Routes()
        self.draining: set[ServedLink] = set()
        self._has_room = has_room
        self._opening = asyncio.Lock()
        self._servers: list[asyncio.Server] = []
        handler = Handler(self.routes, serve, lambda: self._front.closing, access_log=settings.access_log)
        self._front = Front(settings, handler.answer, _refused if settings.access_log else _untold)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._front.connections)

    @property
    def abandoned(self) -> bool:
        """Whether all of its links are leaving."""
        return all(served.leaving for served in self.routes)

    @property
    def serving(self) -> bool:
        """Whether it accepts connections."""
        return bool(self._servers) and all(server.is_serving() for server in self._servers)

    async def open(self) -> None:
        """Listens, unless it does so already.

        Raises:
            Unavailable: The address cannot be had, with the reason.
            InvalidArgument: Certificate or key cannot be used.
        """
        async with self._opening:
            if self.address is not None:
                return
            cert, key = self.settings.tls_cert, self.settings.tls_key
            tls = await asyncio.to_thread(server_tls, cert, key) if cert else None
            sockets = await _bound(self.settings.address)
            loop = asyncio.get_running_loop()
            try:
                for each in sockets:
                    self._servers.append(
                        await loop.create_server(
                            lambda: Greeting(self._front, self._may_open, tls),
                            sock=each,
                            backlog=BACKLOG,
                            start_serving=False,
                        )
                    )
                for server in self._servers:
                    await server.start_serving()
            except BaseException:
                self._stop_accepting()
                for each in sockets:
                    each.close()
                raise
            self.address = Address(self.settings.address.host, sockets[0].getsockname()[1])
            _log.info("http listener opened", address=str(self.address), tls=tls is not None)

    def stop(self) -> None:
        """Accepts no more connections, and lets each of those that are open answer what it was asked."""
        self._stop_accepting()
        self._front.shutdown()

    async def ended(self) -> None:
        """After `stop`: waits a moment for clients to take what was sent, then closes what is left."""
        await self._front.ended(LINGER_S)
        _log.info("http listener closed", address=str(self.address))

    def _stop_accepting(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    def _may_open(self) -> bool:
        return self.connections < self.settings.connections_max and self._has_room()


async def _bound(address: Address) -> list[socket.socket]:
    """Sockets bound to an address: one for each address of a name; one where the port is free to choose."""
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    try:
        infos = await loop.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, proto, _, where in dict.fromkeys(infos):
            bound = socket.socket(family, kind, proto)
            sockets.append(bound)
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(where)
            if address.port == 0:
                break
    except OSError as e:
        for each in sockets:
            each.close()
        raise Unavailable(f"cannot listen at {address}: {e.strerror or e}") from None
    return sockets


def _untold(peer: str, status: int, reason: str) -> None:
    """There is no access log."""


def _refused(peer: str, status: int, reason: str) -> None:
    _log.info("malformed request", peer=peer, status=status, reason=reason)
