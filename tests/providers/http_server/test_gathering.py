"""The transport that sends a turn's writes together."""

from __future__ import annotations

import asyncio
import socket
import struct

from lath_providers.http_server.gathering import GatheringTransport

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def test_ending_towards_a_client_that_has_reset_the_connection_is_no_error() -> None:
    accepted: asyncio.Future[asyncio.BaseTransport] = asyncio.get_running_loop().create_future()

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.set_result(transport)

    server = await asyncio.get_running_loop().create_server(Accepting, "127.0.0.1", 0)
    async with server:
        client = socket.create_connection(server.sockets[0].getsockname())
        transport = GatheringTransport(await accepted)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        client.close()
        transport.write_eof()  # in the same turn: the loop has not read the reset yet
        transport.close()
