"""The relay before a backend: it counts connections, holds what is sent, and cuts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from pytest_asyncio import fixture

from lath.testing import eventually
from lath.testing.backend import LOOPBACK, ProxiedBackend


@fixture
async def backend() -> AsyncIterator[ProxiedBackend]:
    """Before a server that sends back what it is sent."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)
        writer.close()

    async with await asyncio.start_server(echo, LOOPBACK, 0) as server:
        backend = ProxiedBackend(server.sockets[0].getsockname()[1])
        await backend.start()
        yield backend
        await backend.stop()


async def connect(backend: ProxiedBackend) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, backend.port)


async def test_what_is_sent_passes_and_connections_are_counted_while_they_last(
    backend: ProxiedBackend,
) -> None:
    reader, writer = await connect(backend)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    (first,) = await backend.connections()
    writer.close()
    await eventually(lambda: _connected(backend, set()))
    reader, writer = await connect(backend)
    writer.write(b"again")
    assert await reader.readexactly(5) == b"again"
    assert first not in await backend.connections()
    writer.close()


async def test_frozen_it_answers_nothing_and_thawed_all_that_was_asked(backend: ProxiedBackend) -> None:
    reader, writer = await connect(backend)
    await backend.freeze()
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(5), 0.05)
    await backend.thaw()
    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_stopped_it_cuts_and_refuses_until_it_is_started_at_the_same_port(
    backend: ProxiedBackend,
) -> None:
    reader, writer = await connect(backend)
    await backend.freeze()
    await backend.stop()
    with contextlib.suppress(ConnectionResetError):  # how it is told depends on what was on its way
        assert await reader.read(1) == b""
    writer.close()
    with pytest.raises(OSError):
        await connect(backend)
    await backend.start()
    reader, writer = await connect(backend)
    writer.write(b"again")
    assert await reader.readexactly(5) == b"again"
    writer.close()


async def _connected(backend: ProxiedBackend, expected: set[str]) -> bool:
    assert await backend.connections() == expected
    return True
