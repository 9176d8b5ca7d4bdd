"""A backend that a test can take away and give back: what `BackendContract` asks of it, and a relay.

`ProxiedBackend` stands before a server that goes on running; one that the test owns is better stopped itself.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Final, Protocol

LOOPBACK: Final = "127.0.0.1"
_READ_BYTES: Final = 64 * 1024


class Backend(Protocol):
    """A real backend, which providers connect to. Each of its verbs may be said twice."""

    async def start(self) -> None:
        """Lets it serve, at the address and with the data that it had before; returns once it does."""

    async def stop(self) -> None:
        """Ends it without warning, frozen or not: its connections break, and new ones are refused."""

    async def freeze(self) -> None:
        """Makes it hang: connections stay and are taken, and nothing is answered (SIGSTOP)."""

    async def thaw(self) -> None:
        """Ends the freeze: what was asked meanwhile is answered."""

    async def connections(self) -> set[str]:
        """The provider's connections as the server counts them: a name for each, never used again."""


class ProxiedBackend:
    """Relays TCP connections to a server, and can cut or hold them: a `Backend` made of any server.

    Providers connect to `port` in place of the server's own.

    Args:
        port: The server's.
        host: Likewise.

    Attributes:
        port: Where it listens on 127.0.0.1; the same after each start.
    """

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self.port = 0
        self._to = (host, port)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._numbers = itertools.count(1)
        self._relays: dict[str, asyncio.Task[None]] = {}
        self._clients: dict[str, asyncio.StreamWriter] = {}

    async def start(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for relay in self._relays.values():
            relay.cancel()
        for client in self._clients.values():
            client.transport.abort()  # also where its relay had not begun
        await asyncio.gather(*self._relays.values(), return_exceptions=True)
        await self.thaw()

    async def freeze(self) -> None:
        self._flowing.clear()

    async def thaw(self) -> None:
        self._flowing.set()

    async def connections(self) -> set[str]:
        return set(self._clients)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = str(next(self._numbers))
        self._clients[name] = writer
        self._relays[name] = asyncio.create_task(self._relay(reader, writer))
        self._relays[name].add_done_callback(lambda _: self._forget(name))

    def _forget(self, name: str) -> None:
        del self._relays[name], self._clients[name]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            its_reader, its_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.transport.abort()
            return
        ways = {
            asyncio.create_task(self._pump(reader, its_writer)),
            asyncio.create_task(self._pump(its_reader, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            its_writer.transport.abort()
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ_BYTES):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
