"""The listeners of a process, by address: opened with their first link, closed with their last."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

from lath.errors import Conflict
from lath.provider import Link
from lath_providers.http_server.config import HttpServerConfig
from lath_providers.http_server.handler import Serve
from lath_providers.http_server.listener import Listener
from lath_providers.http_server.served import ServedLink

DESCRIPTORS_RESERVED: Final = 256
"""Files and sockets of the rest of the process, which connections of clients leave room for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a link is served.

    Attributes:
        listener: By what.
        served: Its routes and requests.
    """

    listener: Listener
    served: ServedLink


class Listeners:
    """All of one process.

    Args:
        serve: Calls components.
    """

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._open: list[Listener] = []
        self._connections_max = connections_max()

    async def add(self, link: Link, config: HttpServerConfig) -> Place:
        """Serves a link.

        Raises:
            Conflict: Another link at the address has other settings or one of the routes; it is named.
            Unavailable: The address cannot be had.
            InvalidArgument: A file cannot be used.
        """
        listener = self._listener(link, config)
        served = ServedLink(link, config)
        listener.routes.add(served)
        try:
            await listener.open()
        except BaseException:
            listener.routes.remove(served)
            if not len(listener.routes):
                self._open.remove(listener)
                listener.stop()
            raise
        return Place(listener, served)

    async def remove(self, place: Place) -> None:
        """Serves it no more: its requests end within its `drain_ms`, and nobody else's."""
        listener, served = place.listener, place.served
        served.leaving = True
        listener.draining.add(served)
        if all(each.leaving for each in listener.routes) and listener in self._open:
            self._open.remove(listener)
            listener.stop()
        try:
            await served.drain()
        finally:
            listener.routes.remove(served)
            listener.draining.discard(served)
        if listener not in self._open and not listener.draining:
            await listener.ended()

    def _listener(self, link: Link, config: HttpServerConfig) -> Listener:
        for listener in self._open:
            if listener.settings.address == config.address and config.address.port != 0:
                different = listener.settings.differences(config)
                if different:
                    others = ", ".join(sorted(served.key for served in listener.routes))
                    raise Conflict(
                        f"{', '.join(different)} differ from what holds at {config.address} by link {others}:"
                        " links that share an address agree on its settings"
                    )
                return listener
        listener = Listener(config.listener, self._serve, self._has_room)
        self._open.append(listener)
        return listener

    def _has_room(self) -> bool:
        return sum(listener.connections for listener in self._open) < self._connections_max


def connections_max() -> int:
    """Raises the limit of open files to what the process may have, and says how many may be connections.

    The low limit that processes begin with is for programs that use `select`, which fails above it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return _UNLIMITED
    return max(hard - DESCRIPTORS_RESERVED, hard // 2)


_UNLIMITED: Final = 1 << 30
