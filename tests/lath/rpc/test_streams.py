"""Streams beside calls: whole, bounded, ended by either side, given up only when the other end is gone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nats.aio.msg import Msg

from lath import errors
from lath.bus import Bus, Credentials
from lath.bus.permissions import RESPONSES_MAX
from lath.names import InterfaceName
from lath.rpc import Answer, Caller, CallServer, Exchanges, Following, IncomingCall, Streamed, streams
from lath.rpc.stream_port import StreamPort
from lath.rpc.streams import CHUNK_BYTES, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, WINDOWS_BYTES
from lath.server import Server
from lath.subjects import HEADER_ERROR, HEADER_STREAM, call_tail
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


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is asked after soon."""
    monkeypatch.setattr(streams, "ASK_EVERY_S", 0.1)
    monkeypatch.setattr("lath.rpc.stream_port.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(streams, "STRIKE_S", 0.1)


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
