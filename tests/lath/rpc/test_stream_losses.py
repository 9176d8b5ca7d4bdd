"""Streams whose messages, or whose other end, are lost: given up only where the other end is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.aio.msg import Msg
from stream_calls import (
    Chunks,
    echo,
    following,
    idle,
    made,
    serving,
    waiting,
    whole,
)

from lath import errors
from lath.bus import Bus
from lath.rpc import IncomingCall, Streamed, streams
from lath.rpc.stream_port import StreamPort
from lath.server import Server
from lath.subjects import HEADER_STREAM
from lath.testing import eventually


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is asked after soon."""
    monkeypatch.setattr(streams, "ASK_EVERY_S", 0.1)
    monkeypatch.setattr("lath.rpc.stream_port.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(streams, "STRIKE_S", 0.1)


@pytest.mark.usefixtures("soon")
async def test_a_silent_stream_lives_on_for_as_long_as_both_processes_do(
    caller_bus: Bus, server_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "GONE_S", 0.5)
    go = asyncio.Event()

    async def event_stream() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"last"

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(Chunks(event_stream())))

    async with serving(caller_bus, server_bus, handle) as (_, call):
        answer, unread = await call(timeout_ms=1000), await call(timeout_ms=1000)
        assert await anext(answer.stream) == b"first"
        asked = 0
        port = await StreamPort.of(caller_bus)
        take = port._take

        def count(msg: Msg) -> None:
            nonlocal asked
            asked += (msg.headers or {}).get(HEADER_STREAM, "").startswith(("ask", "here"))
            take(msg)

        monkeypatch.setattr(port, "_take", count)
        await eventually(lambda: asked >= 40)
        go.set()
        assert await whole(answer) == b"last"
        assert await whole(unread) == b"firstlast"


@pytest.mark.usefixtures("soon")
async def test_a_writer_that_is_gone_is_noticed_while_nothing_is_said(
    caller_bus: Bus, shared_nats_server: Server, lattice: str
) -> None:
    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(waiting(b"first")))

    server_bus = await Bus.connect(shared_nats_server.url, lattice=lattice, name="dying")
    async with serving(caller_bus, server_bus, handle) as (_, call):
        answer = await call()
        assert await anext(answer.stream) == b"first"
        await (await server_bus.bulk()).close()  # as when its process dies: nobody says anything
        with pytest.raises(errors.ConnectionLost, match="nobody listens"):
            await anext(answer.stream)
    await server_bus.close()
    await idle(caller_bus)


@pytest.mark.usefixtures("soon")
async def test_a_reader_that_is_gone_ends_the_writer(
    server_bus: Bus, shared_nats_server: Server, lattice: str
) -> None:
    down = waiting(b"first")

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(down))

    caller_bus = await Bus.connect(shared_nats_server.url, lattice=lattice, name="dying")
    async with serving(caller_bus, server_bus, handle) as (server, call):
        answer = await call()
        assert await anext(answer.stream) == b"first"
        await (await caller_bus.bulk()).close()
        await eventually(lambda: down.closed and server.inflight == 0)
        assert server.stats.last_error == "connection_lost"
    await caller_bus.close()


@pytest.mark.usefixtures("soon")
async def test_an_end_that_does_not_answer_any_more_is_given_up(
    caller_bus: Bus, server_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "GONE_S", 0.5)

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(waiting(b"first")))

    async with serving(caller_bus, server_bus, handle) as (server, call):
        answer = await call()
        assert await anext(answer.stream) == b"first"
        frozen = await StreamPort.of(server_bus)
        monkeypatch.setattr(frozen, "_take", lambda msg: None)  # as a process that is stopped (SIGSTOP)
        with pytest.raises(errors.ConnectionLost, match="nothing was heard"):
            await anext(answer.stream)
        await eventually(lambda: server.inflight == 0)


async def test_a_restart_of_the_server_fails_streams_and_the_next_one_works(
    nats_server: Server, lattice: str
) -> None:
    async with (
        await Bus.connect(nats_server.url, lattice=lattice, name="s") as server_bus,
        await Bus.connect(nats_server.url, lattice=lattice, name="c") as caller_bus,
        serving(caller_bus, server_bus, echo) as (server, call),
    ):
        answer = await call(following(waiting(b"first")))
        assert await anext(answer.stream) == b"first"
        await nats_server.stop()
        with pytest.raises(errors.ConnectionLost):
            await anext(answer.stream)
        await answer.close()
        await nats_server.restart()
        bulk = [await caller_bus.bulk(), await server_bus.bulk()]
        await eventually(lambda: caller_bus.connected and server_bus.connected)
        await eventually(lambda: all(client.is_connected for client in bulk))
        await eventually(lambda: server.inflight == 0)
        assert await whole(await call(following(made(b"again")))) == b"again"


async def test_a_lost_pull_is_said_again(caller_bus: Bus, server_bus: Bus, soon: None) -> None:
    pieces = 3 * streams.MESSAGES_PER_PULL
    lost: list[str] = []

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(made(*[b"."] * pieces)))

    async with serving(caller_bus, server_bus, handle) as (_, call):
        port = await StreamPort.of(server_bus)
        take = port._take

        def lose(msg: Msg) -> None:
            verb = (msg.headers or {}).get(HEADER_STREAM, "").partition(",")[0]
            if verb == "ask":
                port._take = take  # type: ignore[method-assign]
            if verb == "pull" and lost:
                return
            lost.append(verb)
            take(msg)

        port._take = lose  # type: ignore[method-assign]
        async with asyncio.timeout(10):
            assert await whole(await call()) == b"." * pieces
    assert "ask" in lost


async def test_lost_bytes_are_an_error_and_no_shorter_stream(caller_bus: Bus, server_bus: Bus) -> None:
    go = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"lost"
        yield b"last"

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(Chunks(pieces())))

    async with serving(caller_bus, server_bus, handle) as (_, call):
        answer = await call()
        assert await anext(answer.stream) == b"first"
        port = await StreamPort.of(caller_bus)
        take = port._take
        port._take = lambda msg: None if msg.data == b"lost" else take(msg)  # type: ignore[method-assign]
        go.set()
        with pytest.raises(errors.ConnectionLost, match="9 bytes of the stream were sent, and 5 came"):
            await anext(answer.stream)
