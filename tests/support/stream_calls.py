"""Streams to send beside calls, and a server to send them to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from lath.bus import Bus
from lath.names import InterfaceName
from lath.rpc import Answer, Caller, CallServer, Exchanges, Following, IncomingCall, Streamed
from lath.rpc.stream_port import StreamPort
from lath.subjects import call_tail
from lath.testing import eventually

TAIL = call_tail("app", "default", InterfaceName("test", "flow", "pipe"), "run")


MIB = 1024 * 1024


class Chunks:
    """A body that counts what was asked of it, and whether it was closed."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self.given = 0
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._source)
        self.given += len(chunk)
        return chunk

    async def aclose(self) -> None:
        self.closed = True


def made(*pieces: bytes) -> Chunks:
    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return Chunks(source())


def endless(piece: bytes) -> Chunks:
    async def source() -> AsyncIterator[bytes]:
        while True:
            yield piece

    return Chunks(source())


def waiting(*pieces: bytes) -> Chunks:
    """Gives some pieces, and never ends."""

    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        await asyncio.Event().wait()

    return Chunks(source())


def following(chunks: Chunks, after: bytes = b"") -> Following:
    return Following(chunks, lambda: after)


async def echo(call: IncomingCall) -> bytes | Streamed:
    """Answers with what follows the call."""
    if call.stream is None:
        return call.payload
    stream = call.stream
    return Streamed(call.payload, Following(stream, lambda: stream.after))


Call = Callable[..., Any]


@asynccontextmanager
async def serving(caller_bus: Bus, server_bus: Bus, handler: Any) -> AsyncIterator[tuple[CallServer, Call]]:
    async with (
        CallServer(server_bus, "pipe", "i1", handler) as server,
        Caller(caller_bus, None, "app") as caller,
    ):
        exchanges = Exchanges(caller_bus, caller)

        async def call(
            body: Following | None = None, payload: bytes = b"head", timeout_ms: int = 10_000
        ) -> Answer:
            return await exchanges.call("pipe", TAIL, payload, body, timeout_ms=timeout_ms, linked=True)

        yield server, call


async def whole(answer: Answer) -> bytes:
    assert answer.stream is not None
    data = b"".join([chunk async for chunk in answer.stream])
    await answer.close()
    return data


async def idle(*buses: Bus) -> None:
    for bus in buses:
        port = await StreamPort.of(bus)
        await eventually(lambda port=port: port.idle, what="no stream to be left")  # type: ignore[misc]
