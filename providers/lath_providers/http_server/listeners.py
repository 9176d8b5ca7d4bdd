"""The listeners of a process, by address: opened with their first link, closed with their last."""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from typing import Final

from lath.errors import Conflict, Draining
from lath.provider import Link
from lath_providers.http_server.config import HttpServerConfig
from lath_providers.http_server.handler import Serve
from lath_providers.http_server.listener import Listener
from lath_providers.http_server.served import ServedLink

DESCRIPTORS_RESERVED: Final = 256
"""Files and sockets of the rest of the process, which connections of clients leave room for."""
HANDOVER_S: Final = 0.2
"""A link that is changed is closed and opened anew. Its routes wait for it so long, and with them the port
and its connections; requests of that moment are 503, not another link's."""


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
        handover_s: How long a link that is closed keeps its routes, for itself when it was changed.
    """

    def __init__(self, serve: Serve, *, handover_s: float = HANDOVER_S) -> None:
        self._serve = serve
        self._handover_s = handover_s
        self._open: list[Listener] = []
        self._leaving: dict[asyncio.Task[None], ServedLink] = {}
        self._stopping = asyncio.Event()
        self._connections_max = connections_max()

    async def add(self, link: Link, config: HttpServerConfig) -> Place:
        """Serves a link.

        Raises:
            Conflict: Another link at the address has other settings or one of the routes; it is named.
            Unavailable: The address cannot be had.
            InvalidArgument: A file cannot be used.
            Draining: The server stops.
        """
        if self._stopping.is_set():
            raise Draining("the server stops")
        listener = self._listener(config)
        for before in [each for each in listener.routes if each.leaving and each.key == link.key]:
            listener.routes.remove(before)
        served = ServedLink(link, config)
        listener.routes.add(served)
        try:
            await listener.open()
        except BaseException:
            listener.routes.remove(served)
            self._close_abandoned(listener)
            raise
        return Place(listener, served)

    def remove(self, place: Place) -> asyncio.Task[None]:
        """Serves it no more. The task ends when its requests have, within its `drain_ms`."""
        place.served.leaving = True
        place.listener.draining.add(place.served)
        task = asyncio.create_task(self._let_go(place), name=f"drain {place.served.key}")
        self._leaving[task] = place.served
        task.add_done_callback(self._leaving.pop)
        return task

    async def drain(self) -> None:
        """Accepts nothing more, and waits until the requests that run have ended."""
        self._stopping.set()
        links = [served for listener in self._open for served in listener.routes]
        for listener in self._open:
            listener.stop()
        await asyncio.gather(*(served.drain() for served in links))
        if self._leaving:
            await asyncio.wait(tuple(self._leaving))

    async def close(self) -> None:
        """Ends what still runs. Every link was removed."""
        self._stopping.set()
        for served in self._leaving.values():
            served.end()
        if self._leaving:
            await asyncio.wait(tuple(self._leaving))

    async def _let_go(self, place: Place) -> None:
        listener, served = place.listener, place.served
        try:
            await self._wait_for_successor()
            listener.routes.remove(served)
            self._close_abandoned(listener)
            await served.drain()
        finally:
            listener.draining.discard(served)
        if listener not in self._open and not listener.draining:
            await listener.ended()

    async def _wait_for_successor(self) -> None:
        try:
            async with asyncio.timeout(self._handover_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _close_abandoned(self, listener: Listener) -> None:
        if listener.abandoned and listener in self._open:
            self._open.remove(listener)
            listener.stop()

    def _listener(self, config: HttpServerConfig) -> Listener:
        """The listener at an address; a new one where there is none, or one that its links have left."""
        for listener in tuple(self._open):
            if listener.settings.address != config.address or config.address.port == 0:
                continue
            different = listener.settings.differences(config)
            if not different:
                return listener
            if not listener.abandoned:
                others = ", ".join(sorted(served.key for served in listener.routes))
                raise Conflict(
                    f"{', '.join(different)} differ from what holds at {config.address} by link {others}:"
                    " links that share an address agree on its settings"
                )
            self._close_abandoned(listener)
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
