"""How streams beside calls end: by an error, by an end that wants no more, by a server that stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from stream_calls import (
    MIB,
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
from lath.rpc import IncomingCall, Streamed
from lath.rpc.stream_port import StreamPort
from lath.testing import eventually


async def test_what_a_writer_fails_with_its_reader_gets_after_what_came_before(
    caller_bus: Bus, server_bus: Bus
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"some"
        raise errors.Trap("out of bounds")

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(Chunks(failing())))

    async with serving(caller_bus, server_bus, handle) as (server, call):
        answer = await call()
        assert await anext(answer.stream) == b"some"
        for _ in range(2):
            with pytest.raises(errors.Trap, match="out of bounds"):
                await anext(answer.stream)
        await eventually(lambda: server.inflight == 0)
        assert server.stats.last_error == "trap"
    await idle(caller_bus, server_bus)


async def test_what_a_callers_stream_fails_with_its_callee_gets(caller_bus: Bus, server_bus: Bus) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError("the browser is gone")

    async def handle(call: IncomingCall) -> bytes:
        assert call.stream is not None
        assert await anext(call.stream) == b"some"
        with pytest.raises(errors.Internal, match="the browser is gone") as caught:
            await anext(call.stream)
        return caught.value.kind.encode()

    async with serving(caller_bus, server_bus, handle) as (_, call):
        assert (await call(following(Chunks(failing())))).payload == b"internal"


async def test_a_reader_that_wants_no_more_ends_the_writer(caller_bus: Bus, server_bus: Bus) -> None:
    down = waiting(b"first")

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(down))

    async with serving(caller_bus, server_bus, handle) as (server, call):
        answer = await call()
        assert await anext(answer.stream) == b"first"
        await answer.close()
        await eventually(lambda: down.closed and server.inflight == 0)
        assert server.stats.last_error == "cancelled"
    await idle(caller_bus, server_bus)


async def test_a_call_that_ends_wants_no_more_of_its_stream(caller_bus: Bus, server_bus: Bus) -> None:
    up = waiting(b"first")

    async def handle(call: IncomingCall) -> bytes:
        assert call.stream is not None
        return await anext(call.stream)

    async with serving(caller_bus, server_bus, handle) as (_, call):
        answer = await call(following(up))
        assert answer.payload == b"first"
        await idle(caller_bus, server_bus)
        await answer.close()
        assert up.closed


async def test_a_server_that_stops_says_so_amid_a_stream(caller_bus: Bus, server_bus: Bus) -> None:
    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(waiting(b"first")))

    async with serving(caller_bus, server_bus, handle) as (server, call):
        answer = await call()
        assert await anext(answer.stream) == b"first"
        await server.close()
        with pytest.raises(errors.CallCancelled, match="stopped"):
            await anext(answer.stream)


async def test_who_asks_after_a_stream_was_stopped_is_told_why(caller_bus: Bus, server_bus: Bus) -> None:
    writer = (await StreamPort.of(server_bus)).outgoing()
    sending = asyncio.create_task(writer.send(made(b"never asked for"), bytes))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait([sending])
    port = await StreamPort.of(caller_bus)
    with pytest.raises(errors.CallCancelled, match="was stopped"):
        await anext(port.incoming(port.client, writer.subject))
    await idle(caller_bus, server_bus)


async def test_a_server_that_drains_lets_streams_end(caller_bus: Bus, server_bus: Bus) -> None:
    go = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"last"

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(Chunks(slow())))

    async with serving(caller_bus, server_bus, handle) as (server, call):
        answer = await call()
        assert await anext(answer.stream) == b"first"
        draining = asyncio.create_task(server.drain(linger_ms=0))
        await eventually(lambda: server.draining)
        go.set()
        assert await whole(answer) == b"last"
        await draining


async def test_a_call_whose_stream_was_not_begun_may_be_made_again_elsewhere(
    caller_bus: Bus, server_bus: Bus
) -> None:
    refusals = 0

    async def full_at_first(call: IncomingCall) -> bytes | Streamed:
        nonlocal refusals
        if not refusals:
            refusals += 1
            raise errors.Overloaded("no room")
        return await echo(call)

    body = made(b"a" * MIB, b"b")
    async with serving(caller_bus, server_bus, full_at_first) as (_, call):
        assert await whole(await call(following(body))) == b"a" * MIB + b"b"
    assert refusals == 1


async def test_a_call_whose_stream_was_begun_is_not_made_again(caller_bus: Bus, server_bus: Bus) -> None:
    calls = 0

    async def full_late(call: IncomingCall) -> bytes:
        nonlocal calls
        calls += 1
        assert call.stream is not None
        await anext(call.stream)
        raise errors.Overloaded("no room after all")

    body = waiting(b"a")
    async with serving(caller_bus, server_bus, full_late) as (_, call):
        with pytest.raises(errors.Overloaded):
            await call(following(body))
    assert calls == 1 and body.closed
    await idle(caller_bus, server_bus)


async def test_a_caller_that_gives_up_before_the_answer_leaves_nothing(
    caller_bus: Bus, server_bus: Bus
) -> None:
    async def handle(call: IncomingCall) -> bytes:
        assert call.stream is not None
        await anext(call.stream)
        await asyncio.Event().wait()
        return b""

    body = waiting(b"a")
    async with serving(caller_bus, server_bus, handle) as (server, call):
        with pytest.raises(errors.DeadlineExceeded):
            await call(following(body), timeout_ms=200)
        assert body.closed
        await eventually(lambda: server.inflight == 0)
    await idle(caller_bus, server_bus)
