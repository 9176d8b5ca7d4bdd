"""Looks names up, in threads of its own: the system's look-up blocks, and nobody can cut it off.

Each component has its share of them, so that one whose names nobody answers takes nothing from the others.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from lath_host.outbound.addresses import Address, is_localhost, resolved

LOOKUPS_MAX: Final = 64
"""At once, of a host: a thread each. One that nobody answers holds it for some 10 s, wanted or not."""
COMPONENT_LOOKUPS_MAX: Final = 4
"""At once, of a component."""
_LOCALHOST: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

Find = Callable[[str], list[str]]
"""Gives the addresses of a name, best first, and blocks for it; raises OSError where there are none."""


def system_find(name: str) -> list[str]:
    """What the system says, by its files and its name servers, in the order of RFC 6724."""
    return [str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class Resolver:
    """The look-ups of one host.

    Args:
        find: Looks one name up, in a thread.
    """

    def __init__(self, find: Find = system_find) -> None:
        self._find = find
        self._places = asyncio.Semaphore(LOOKUPS_MAX)

    async def look_up(self, name: str) -> list[Address]:
        """The addresses of a name, best first, each once. Those of `localhost` are known (RFC 6761, 6.3).

        Args:
            name: In its one form (`addresses.parse_host`).

        Raises:
            OSError: The name has none, or nobody knows now; a `socket.gaierror` where the system says which.
        """
        if is_localhost(name):
            return list(_LOCALHOST)
        async with self._places:
            found: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
            # unlike an executor's, neither the host's stop nor the end of the process waits for such a thread
            threading.Thread(target=self._work, args=(name, found), name="lath-names", daemon=True).start()
            return list(dict.fromkeys(map(resolved, await found)))

    def _work(self, name: str, found: asyncio.Future[list[str]]) -> None:
        addresses: list[str] = []
        error: Exception | None = None
        try:
            addresses = self._find(name)
        except Exception as failure:  # the caller's to handle, not the thread's
            error = failure
        with suppress(RuntimeError):  # its loop has been closed
            found.get_loop().call_soon_threadsafe(_finish, found, addresses, error)


class ComponentLookups:
    """The look-ups of one component.

    Args:
        resolver: The host's.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._places = asyncio.Semaphore(COMPONENT_LOOKUPS_MAX)
        self._work: set[asyncio.Task[list[Address]]] = set()

    async def look_up(self, name: str) -> list[Address]:
        """As `Resolver.look_up`. One that its caller has left goes on, and keeps its place for so long."""
        await self._places.acquire()
        work = asyncio.get_running_loop().create_task(self._resolver.look_up(name))
        self._work.add(work)
        work.add_done_callback(self._ended)
        return await asyncio.shield(work)

    def close(self) -> None:
        """Wants no more answers."""
        for work in self._work:
            work.cancel()

    def _ended(self, work: asyncio.Task[list[Address]]) -> None:
        self._work.discard(work)
        self._places.release()
        if not work.cancelled():
            work.exception()  # its caller may have gone


def _finish(found: asyncio.Future[list[str]], addresses: list[str], error: Exception | None) -> None:
    if found.done():
        return
    if error is None:
        found.set_result(addresses)
    else:
        found.set_exception(error)
