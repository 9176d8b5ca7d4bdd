"""What `flush` promises: the server has processed everything that was sent before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from lath.bus import Bus
from lath.server import Server


class Wire:
    """A proxy in front of nats-server that keeps what the client sends."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.port = 0

    @asynccontextmanager
    async def running(self, server: Server) -> AsyncIterator[Wire]:
        tasks: set[asyncio.Task[None]] = set()

        async def copy(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray | None
        ) -> None:
            with suppress(ConnectionError):
                while data := await reader.read(65_536):
                    if record is not None:
                        record.extend(data)
                    writer.write(data)
                    await writer.drain()
            writer.close()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            up_reader, up_writer = await asyncio.open_connection(server.host, server.port)
            tasks.add(asyncio.create_task(copy(reader, up_writer, self.sent)))
            tasks.add(asyncio.create_task(copy(up_reader, writer, None)))

        proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = proxy.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            proxy.close()
            await asyncio.gather(*tasks)
            await proxy.wait_closed()


async def test_a_flush_reaches_the_server_after_the_subscriptions_before_it(nats_server: Server) -> None:
    async def ignore(_: object) -> None:
        pass

    async with Wire().running(nats_server) as wire:
        url = f"nats://127.0.0.1:{wire.port}"
        async with await Bus.connect(url, lattice="wire", name="wire") as bus:
            for number in range(20):
                before = len(wire.sent)
                await bus.subscribe(f"flushed.{number}", ignore)
                await bus.nc.flush()
                sent = bytes(wire.sent[before:])
                assert sent.index(b"SUB flushed") < sent.index(b"PING")
