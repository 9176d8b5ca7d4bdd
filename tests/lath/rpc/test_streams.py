"""Streams beside calls: whole, bounded, on connections of their own, malformed messages refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stream_calls import (
    MIB,
    Chunks,
    echo,
    endless,
    following,
    idle,
    made,
    serving,
    waiting,
    whole,
)

from lath import errors
from lath.bus import Bus, Credentials
from lath.bus.permissions import RESPONSES_MAX
from lath.rpc import IncomingCall, Streamed, streams
from lath.rpc.stream_port import StreamPort
from lath.rpc.streams import CHUNK_BYTES, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, WINDOWS_BYTES
from lath.server import Server
from lath.subjects import HEADER_ERROR, HEADER_STREAM
from lath.testing import eventually


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(
        st.sampled_from([0, 1, 2, 4095, 16_384, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * MIB]),
        max_size=9,
    )
)
async def test_chunks_of_every_size_go_there_and_back_whole(
    caller_bus: Bus, server_bus: Bus, sizes: list[int]
) -> None:
    pieces = [bytes([index]) * size for index, size in enumerate(sizes)]
    body = made(*pieces)
    async with serving(caller_bus, server_bus, echo) as (_, call):
        answer = await call(following(body, b"trailers"))
        assert answer.payload == b"head"
        assert await whole(answer) == b"".join(pieces)
        assert answer.stream.after == b"trailers"
        assert body.closed
    await idle(caller_bus, server_bus)


async def test_without_a_stream_it_is_one_message_each_way(caller_bus: Bus, server_bus: Bus) -> None:
    async with serving(caller_bus, server_bus, echo) as (_, call):
        assert (await call()).payload == b"head"
        before = caller_bus.nc.stats["out_msgs"], caller_bus.nc.stats["in_msgs"]
        answer = await call()
        assert answer.payload == b"head" and answer.stream is None
        assert (caller_bus.nc.stats["out_msgs"], caller_bus.nc.stats["in_msgs"]) == (
            before[0] + 1,
            before[1] + 1,
        )


async def test_a_slow_reader_stops_the_writer_both_ways(caller_bus: Bus, server_bus: Bus) -> None:
    up, down = endless(bytes(100_000)), endless(bytes(100_000))

    async def handle(call: IncomingCall) -> Streamed:
        assert call.stream is not None
        await anext(call.stream)
        return Streamed(b"", following(down))

    async with serving(caller_bus, server_bus, handle) as (_, call):
        answer = await call(following(up))
        await anext(answer.stream)
        for chunks in (up, down):
            await eventually(lambda chunks=chunks: chunks.given > WINDOW_BYTES_MAX)  # type: ignore[misc]
        for _ in range(200):
            await asyncio.sleep(0)
        await caller_bus.flush()
        assert up.given <= WINDOW_BYTES_MAX + 300_000
        assert down.given <= WINDOW_BYTES_MAX + 300_000
        await answer.close()
        await eventually(lambda: up.closed and down.closed)
    await idle(caller_bus, server_bus)


async def test_a_thousand_tiny_messages_wait_for_their_reader_too(caller_bus: Bus, server_bus: Bus) -> None:
    down = endless(b"x")

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(down))

    async with serving(caller_bus, server_bus, handle) as (_, call):
        answer = await call()
        await eventually(lambda: down.given >= streams.MESSAGES_PER_PULL)
        for _ in range(200):
            await asyncio.sleep(0)
        await caller_bus.flush()
        assert down.given <= streams.MESSAGES_PER_PULL + 1
        for _ in range(1000):
            assert await anext(answer.stream) == b"x"
        await answer.close()


async def test_many_readers_share_what_one_connection_may_have_on_its_way(
    caller_bus: Bus, server_bus: Bus
) -> None:
    bodies: list[Chunks] = []

    async def handle(call: IncomingCall) -> Streamed:
        bodies.append(endless(bytes(50_000)))
        return Streamed(b"", following(bodies[-1]))

    port = await StreamPort.of(caller_bus)
    assert port.window() == WINDOW_BYTES_MAX
    async with serving(caller_bus, server_bus, handle) as (_, call):
        answers = [await call() for _ in range(200)]
        assert port.window() == max(WINDOW_BYTES_MIN, WINDOWS_BYTES // 200)
        for answer in answers:
            await answer.close()
        assert port.window() == WINDOW_BYTES_MAX
    await idle(caller_bus, server_bus)


@pytest.mark.parametrize(
    "text", ["", "pull", "pull,", "pull,-1", "pull,x", "leap,1", "pull," + "9" * 19, "data,1,2"]
)
async def test_a_malformed_message_is_answered_with_what_is_wrong(
    caller_bus: Bus, server_bus: Bus, text: str
) -> None:
    port = await StreamPort.of(server_bus)
    stream = port.outgoing()
    reply = await caller_bus.request(stream.subject, headers={HEADER_STREAM: text}, timeout_ms=5_000)
    assert reply.headers is not None and reply.headers[HEADER_ERROR] == "invalid_argument"
    stream.leave()


async def test_who_speaks_to_a_stream_that_is_over_is_told_so(caller_bus: Bus, server_bus: Bus) -> None:
    stream = (await StreamPort.of(server_bus)).outgoing()
    stream.leave()
    reply = await caller_bus.request(stream.subject, headers={HEADER_STREAM: "pull,1"}, timeout_ms=5_000)
    assert reply.headers is not None and reply.headers[HEADER_STREAM] == "gone,0"


async def test_a_writer_that_sends_more_than_it_may_is_cut_off(caller_bus: Bus, server_bus: Bus) -> None:
    port = await StreamPort.of(caller_bus)
    pulls = await server_bus.nc.subscribe("_INBOX.greedy")
    await server_bus.flush()
    stream = port.incoming(caller_bus.nc, "_INBOX.greedy")
    await stream.start()
    pull = await pulls.next_msg(timeout=5)
    for sent in range(0, WINDOW_BYTES_MAX + 1, CHUNK_BYTES):
        headers = {HEADER_STREAM: f"data,{sent}"}
        await server_bus.publish(pull.reply, bytes(CHUNK_BYTES), headers=headers, reply="_INBOX.greedy")
    told = await pulls.next_msg(timeout=5)
    assert told.headers[HEADER_STREAM] == "stop,0"
    for _ in range(WINDOW_BYTES_MAX // CHUNK_BYTES):
        assert await anext(stream) == bytes(CHUNK_BYTES)
    with pytest.raises(errors.Internal, match="more than it may"):
        await anext(stream)


async def test_allow_responses_is_all_that_streams_need(
    tmp_path: Path, lattice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RENEW_S", 0.5)
    monkeypatch.setattr(streams, "ASK_EVERY_S", 0.2)
    go = asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"last"

    def user(name: str, publish: list[str], subscribe: list[str]) -> dict[str, object]:
        return {
            "user": name,
            "password": "x",
            "permissions": {
                "publish": publish,
                "subscribe": [f"_INBOX_{name}.>", *subscribe],
                "allow_responses": {"max": RESPONSES_MAX, "expires": "2s"},
            },
        }

    users = [
        user("app", ["lath.rpc.*.*.app.>", "lath.rpci.*.*.*.app.>"], []),
        user("pipe", ["lath.rpc.*.*.pipe.>"], ["lath.rpc.*.pipe.>", "lath.rpci.*.pipe.>"]),
    ]

    async def connect(server: Server, name: str) -> Bus:
        credentials = Credentials(user=name, password="x", inbox_prefix=f"_INBOX_{name}")
        return await Bus.connect(server.url, lattice=lattice, name=name, credentials=credentials)

    large = os.urandom(5 * MIB)
    small = [os.urandom(1) for _ in range(5000)]
    async with (
        Server(store_dir=tmp_path, config={"authorization": {"users": users}}) as server,
        await connect(server, "app") as caller_bus,
        await connect(server, "pipe") as server_bus,
        serving(caller_bus, server_bus, echo) as (_, call),
    ):
        assert await whole(await call(following(made(large)))) == large
        assert await whole(await call(following(made(*small)))) == b"".join(small)
        answer = await call(following(Chunks(late())))
        assert await anext(answer.stream) == b"first"
        assert answer.stream is not None
        renewed = answer.stream.subject
        await eventually(lambda: answer.stream.subject.endswith(".6"), what="the permissions to be over")
        assert renewed != answer.stream.subject
        go.set()
        assert await whole(answer) == b"last"


async def test_who_cannot_connect_a_second_time_says_whether_the_call_has_run(
    caller_bus: Bus, server_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused() -> Any:
        raise errors.NotConnected("no second connection")

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(waiting(b"first")))

    async with serving(caller_bus, server_bus, handle) as (server, call):
        with monkeypatch.context() as patched:
            patched.setattr(server_bus, "bulk", refused)
            with pytest.raises(errors.Unavailable, match="no second connection"):
                await call(following(made(b"body")))
            with pytest.raises(errors.ConnectionLost, match="no second connection"):
                await call()
        monkeypatch.setattr(caller_bus, "bulk", refused)
        with pytest.raises(errors.ConnectionLost, match="had answered, but no second connection"):
            await call()
        with pytest.raises(errors.NotConnected):
            await call(following(made(b"body")))
        monkeypatch.setattr(streams, "GONE_S", 0.2)
        await eventually(lambda: server.inflight == 0)


async def test_a_second_connection_that_is_slow_to_come_does_not_outlast_the_deadline(
    caller_bus: Bus, server_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def handle(call: IncomingCall) -> Streamed:
        return Streamed(b"", following(waiting(b"first")))

    async with serving(caller_bus, server_bus, handle) as (server, call):
        monkeypatch.setattr(caller_bus, "bulk", never)
        with pytest.raises(errors.DeadlineExceeded, match="had answered"):
            await call(timeout_ms=200)
        monkeypatch.setattr(streams, "GONE_S", 0.2)
        await eventually(lambda: server.inflight == 0)
