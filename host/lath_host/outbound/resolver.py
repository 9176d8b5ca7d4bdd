"""Looks up names: in threads of its own, since the system's look-up blocks, and with none for `localhost`."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from lath_host.outbound.addresses import Address, is_localhost, resolved

LOOKUPS_MAX: Final = 16
"""At once, of a host. A look-up that nobody answers holds its thread for some 10 s."""
_LOCALHOST: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class Resolver:
    """The look-ups of one host."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lath-names")

    async def look_up(self, name: str) -> list[Address]:
        """The addresses of a name, best first (RFC 6724), each once.

        Args:
            name: In its one form (`addresses.parse_host`).

        Raises:
            OSError: The name has none, or nobody knows now; a `socket.gaierror` where the system says which.
        """
        if is_localhost(name):
            return list(_LOCALHOST)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, name)
        return list(dict.fromkeys(resolved(str(sockaddr[0])) for *_, sockaddr in found))

    def close(self) -> None:
        """Looks up nothing more; what runs is left to end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(name: str) -> list[tuple[object, object, object, object, tuple[object, ...]]]:
    return list(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
