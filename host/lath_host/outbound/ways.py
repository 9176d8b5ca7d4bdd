"""What the HTTP clients of a host's components share: look-ups, and whom to trust.

aiohttp is imported when the first request is sent, in a thread: hosts run without it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lath.errors import Unavailable
from lath_host.engine.sockets.network import SocketBudget
from lath_host.outbound.resolver import Resolver
from lath_host.outbound.trust import client_context

if TYPE_CHECKING:
    from lath_host.outbound.transport import Transport

NO_CLIENT: Final = "this host has no HTTP client: install lath[http] where it runs"


class WaysOut:
    """The ways out of one host.

    Args:
        ca_files: Certificates of authorities that are trusted beside the system's, PEM.
        resolver: Looks names up; None makes one.
    """

    def __init__(self, ca_files: Iterable[Path] = (), resolver: Resolver | None = None) -> None:
        self.resolver = resolver or Resolver()
        self.installed = find_spec("aiohttp") is not None
        self._ca_files = tuple(ca_files)
        self._tls: ssl.SSLContext | None = None

    async def start(self) -> None:
        """Reads the files of authorities. The system's are read with the first request, if there is no file.

        Raises:
            InvalidArgument: A file cannot be read; the message names it.
        """
        if self._ca_files:
            self._tls = await asyncio.to_thread(client_context, self._ca_files)

    async def transport(self, budget: SocketBudget) -> Transport:
        """Connections of their own for one component.

        Args:
            budget: What the host's guests may have open together.

        Raises:
            Unavailable: The host has no HTTP client installed.
        """
        if not self.installed:
            raise Unavailable(NO_CLIENT)
        transport = await asyncio.to_thread(_load)
        if self._tls is None:
            self._tls = await asyncio.to_thread(client_context, self._ca_files)
        return transport(self.resolver, self._tls, budget)


def _load() -> type[Transport]:
    from lath_host.outbound.transport import Transport

    return Transport
