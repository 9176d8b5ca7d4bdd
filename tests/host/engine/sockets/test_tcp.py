"""TCP sockets of guests, on real ones on loopback: states, streams, options, and what is left of them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest
from socket_guests import Told, address, telling

from lath.errors import DeadlineExceeded, Trap
from lath.testing import eventually
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.sockets.connection import WRITE_BYTES_MAX
from lath_host.engine.sockets.guest_sockets import GUEST_SOCKETS_MAX

LOOPBACK = "127.0.0.1"
HERE = f"{LOOPBACK}:*"
LISTENING = f"listen:{LOOPBACK}:*"
MS = 1_000_000
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@pytest.fixture
async def told(engine: Engine, socket_guest: CompiledComponent) -> AsyncIterator[Told]:
    """May reach loopback, and listen there."""
    async with telling(engine, socket_guest, HERE, LISTENING, "[::1]:*", "listen:[::1]:*") as told:
        yield told


@asynccontextmanager
async def served(serve: Serve, host: str = LOOPBACK) -> AsyncIterator[int]:
    """A server; its port. It ends with all its connections."""
    async with AsyncExitStack() as talking:

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talking.push_async_callback(closed, writer)
            talking.callback(asyncio.ensure_future(serve(reader, writer)).cancel)

        server = await asyncio.start_server(begin, host, 0)
        async with server:
            yield server.sockets[0].getsockname()[1]


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to what a guest listens at."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        yield reader, writer
    finally:
        await closed(writer)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")
    writer.close()


@contextmanager
def silent() -> Iterator[int]:
    """A port at which everybody is connected, and nobody ever heard or answered."""
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("host", [LOOPBACK, "::1"])
async def test_what_is_written_is_read_on_the_other_side(told: Told, host: str) -> None:
    async with served(echo, host) as port:
        connection, source, sink = await told.connect(host, port)
        assert await told("blocking-write-and-flush", sink, b"hello") is None
        assert await told("blocking-read", source, 100) == b"hello"
        assert await told("tcp-socket-remote-address", connection) == address(host, port)
        assert await told("tcp-socket-address-family", connection) == ("ipv6" if ":" in host else "ipv4")


async def test_half_of_a_connection_can_be_closed(told: Told) -> None:
    async with served(echo) as port:
        connection, source, sink = await told.connect(LOOPBACK, port)
        await told("blocking-write-and-flush", sink, b"last words")
        for _ in range(2):
            assert await told("shutdown", connection, "send") is None
        assert await told("check-write", sink) == {"closed": None}
        assert await told.read_all(source) == b"last wordsbye"


async def test_who_shuts_the_receiving_half_reads_no_more(told: Told) -> None:
    with silent() as port:
        connection, source, sink = await told.connect(LOOPBACK, port)
        assert await told("shutdown", connection, "receive") is None
        assert await told("read", source, 100) == {"closed": None}
        assert await told("check-write", sink) == WRITE_BYTES_MAX


async def test_a_dropped_output_stream_ends_what_the_peer_reads(told: Told) -> None:
    async with served(echo) as port:
        _, source, sink = await told.connect(LOOPBACK, port)
        await told("drop-output-stream", sink)
        assert await told("blocking-read", source, 100) == b"bye"


async def test_a_connection_that_is_refused_says_so(told: Told) -> None:
    with socket.socket() as unheard:
        unheard.bind((LOOPBACK, 0))
        assert await told.connect(LOOPBACK, unheard.getsockname()[1]) == "connection-refused"


async def test_a_connection_that_is_reset_fails_the_stream_once(told: Told) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        system = writer.get_extra_info("socket")
        system.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with served(reset) as port:
        _, source, _ = await told.connect(LOOPBACK, port)
        failed = await told("blocking-read", source, 100)
        assert failed["last-operation-failed"].code == "connection-reset"
        assert await told("blocking-read", source, 100) == {"closed": None}


async def test_a_peer_that_does_not_read_holds_the_guest_back_and_loses_nothing(told: Told) -> None:
    release, total = asyncio.Event(), 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal total
        await release.wait()
        while data := await reader.read(65_536):
            total += len(data)
        writer.write(b"%d" % total)
        writer.close()

    async with served(slow) as port:
        connection, source, sink = await told.connect(LOOPBACK, port)
        written = 0
        while (room := await told("check-write", sink)) != 0:
            assert room == WRITE_BYTES_MAX
            assert await told("write", sink, bytes(room)) is None
            written += room
        pollable = await told("output-stream-subscribe", sink)
        assert await told("ready", pollable) is False
        with pytest.raises(Trap, match="check-write permits 0"):
            await told("write", sink, b"x")
        release.set()
        # the guest has trapped, and gone; what it has written arrives all the same
        await eventually(lambda: total == written)
    assert connection and source


async def test_once_the_peer_reads_the_guest_goes_on(told: Told) -> None:
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await echo(reader, writer)

    async with served(slow) as port:
        _, _, sink = await told.connect(LOOPBACK, port)
        while await told("check-write", sink):
            await told("write", sink, bytes(WRITE_BYTES_MAX))
        asyncio.get_running_loop().call_soon(release.set)
        await told.wait("output-stream-subscribe", sink)
        assert await told("check-write", sink) == WRITE_BYTES_MAX


async def test_a_guest_accepts_what_connects(told: Told) -> None:
    listener, port = await told.listen(LOOPBACK)
    assert await told("is-listening", listener) is True
    assert await told("accept", listener) == "would-block"
    async with connected(port) as (reader, writer):
        accepted, source, sink = await told.accept(listener)
        assert await told("is-listening", accepted) is False
        client = address(*writer.get_extra_info("sockname"))
        assert await told("tcp-socket-remote-address", accepted) == client
        writer.write(b"in")
        assert await told("blocking-read", source, 10) == b"in"
        await told("blocking-write-and-flush", sink, b"out")
        assert await reader.read(10) == b"out"
    assert await told("blocking-read", source, 10) == {"closed": None}


async def test_a_guest_listens_at_a_port_that_the_system_chooses(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    async with telling(engine, socket_guest, f"listen:{LOOPBACK}:0") as told:
        listener, port = await told.listen(LOOPBACK)
        async with connected(port) as (_, writer):
            _, source, _ = await told.accept(listener)
            writer.write(b"in")
            assert await told("blocking-read", source, 10) == b"in"


async def test_a_wait_mixes_timers_and_sockets(told: Told) -> None:
    listener, port = await told.listen(LOOPBACK)
    comes = await told("tcp-socket-subscribe", listener)
    soon = await told("subscribe-duration", 5 * MS)
    late = await told("subscribe-duration", 60_000 * MS)
    assert await told("poll", [comes, soon]) == [1]
    async with connected(port) as (_, writer):
        assert await told("poll", [late, comes]) == [1]
        _, source, _ = await told.accept(listener)
        says = await told("input-stream-subscribe", source)
        soon = await told("subscribe-duration", 5 * MS)
        assert await told("poll", [says, soon]) == [1]
        writer.write(b"x")
        assert await told("poll", [late, says]) == [1]


async def test_a_wait_for_a_peer_that_says_nothing_ends_with_the_call(told: Told) -> None:
    with silent() as port:
        _, source, _ = await told.connect(LOOPBACK, port)
        with pytest.raises(DeadlineExceeded):
            await told("blocking-read", source, 1, timeout_ms=50)
        await eventually(lambda: told.engine.sockets.open == 0)


async def test_functions_of_another_state_are_refused_and_change_nothing(told: Told) -> None:
    new = await told.tcp()
    for function in ("finish-connect", "tcp-socket-finish-bind", "finish-listen"):
        assert await told(function, new) == "not-in-progress"
    for function in ("start-listen", "accept", "tcp-socket-local-address", "tcp-socket-remote-address"):
        assert await told(function, new) == "invalid-state"
    assert await told("shutdown", new, "both") == "invalid-state"

    here = address(LOOPBACK, 0)
    assert await told("tcp-socket-start-bind", new, told.network, here) is None
    assert await told("tcp-socket-start-bind", new, told.network, here) == "concurrency-conflict"
    assert await told("start-connect", new, told.network, address(LOOPBACK, 1)) == "concurrency-conflict"
    assert await told("tcp-socket-finish-bind", new) is None
    assert await told("tcp-socket-finish-bind", new) == "not-in-progress"
    assert await told("tcp-socket-start-bind", new, told.network, here) == "invalid-state"
    assert await told("start-listen", new) is None
    assert await told("accept", new) == "invalid-state"
    assert await told("finish-listen", new) is None
    assert await told("start-listen", new) == "invalid-state"
    assert await told("start-connect", new, told.network, address(LOOPBACK, 1)) == "invalid-state"
    assert await told("set-listen-backlog-size", new, 0) == "invalid-argument"
    assert await told("set-listen-backlog-size", new, 1 << 40) is None


async def test_a_socket_whose_connection_failed_is_closed(told: Told) -> None:
    with socket.socket() as unheard:
        unheard.bind((LOOPBACK, 0))
        closed = await told.tcp()
        assert await told.connect(LOOPBACK, unheard.getsockname()[1], closed) == "connection-refused"
    for function in ("tcp-socket-local-address", "hop-limit", "keep-alive-enabled", "accept"):
        assert await told(function, closed) == "invalid-state"
    assert await told("start-connect", closed, told.network, address(LOOPBACK, 1)) == "invalid-state"
    assert await told("finish-connect", closed) == "not-in-progress"


async def test_connecting_is_begun_once_and_finished_once(told: Told) -> None:
    with silent() as port:
        new = await told.tcp()
        assert await told("start-connect", new, told.network, address(LOOPBACK, port)) is None
        assert await told("start-connect", new, told.network, address(LOOPBACK, port)) == (
            "concurrency-conflict"
        )
        assert await told("set-listen-backlog-size", new, 1) == "invalid-state"
        await told.wait("tcp-socket-subscribe", new)
        assert len(await told("finish-connect", new)) == 2
        assert await told("finish-connect", new) == "not-in-progress"
        assert await told("start-connect", new, told.network, address(LOOPBACK, port)) == "invalid-state"


async def test_an_address_that_is_in_use_cannot_be_bound(told: Told) -> None:
    _, port = await told.listen(LOOPBACK)
    second = await told.tcp()
    bound = await told("tcp-socket-start-bind", second, told.network, address(LOOPBACK, port))
    assert bound == "address-in-use"


async def test_a_port_can_be_listened_at_again_at_once(told: Told) -> None:
    listener, port = await told.listen(LOOPBACK)
    async with connected(port):
        accepted, source, sink = await told.accept(listener)
        for resource, handle in (
            ("output-stream", sink), ("input-stream", source), ("tcp-socket", accepted),
            ("tcp-socket", listener),
        ):  # fmt: skip
            await told(f"drop-{resource}", handle)
        assert (await told.listen(LOOPBACK, port))[1] == port


@pytest.mark.parametrize(
    ("option", "value", "told_value"),
    [
        ("keep-alive-idle-time", 7_000 * MS, 7_000 * MS),
        ("keep-alive-idle-time", 1, 1_000 * MS),
        ("keep-alive-idle-time", (1 << 64) - 1, 32_767_000 * MS),
        ("keep-alive-interval", 3_000 * MS, 3_000 * MS),
        ("keep-alive-count", 4, 4),
        ("keep-alive-count", (1 << 32) - 1, 127),
        ("hop-limit", 17, 17),
        ("tcp-socket-receive-buffer-size", 16_384, 16_384),
        ("tcp-socket-send-buffer-size", 16_384, 16_384),
    ],
)
async def test_options_are_those_of_the_system(told: Told, option: str, value: int, told_value: int) -> None:
    new = await told.tcp()
    start, _, rest = option.partition("tcp-socket-") if option.startswith("tcp-socket-") else ("", "", option)
    setter = f"{start}tcp-socket-set-{rest}" if option != rest else f"set-{option}"
    assert await told(setter, new, value) is None
    assert await told(option, new) == told_value
    assert await told(setter, new, 0) == "invalid-argument"


async def test_keep_alive_is_switched(told: Told) -> None:
    new = await told.tcp()
    assert await told("keep-alive-enabled", new) is False
    assert await told("set-keep-alive-enabled", new, True) is None
    assert await told("keep-alive-enabled", new) is True


async def test_a_dropped_socket_closes_its_connection(told: Told) -> None:
    ended = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        ended.set()

    async with served(watch) as port:
        connection, source, sink = await told.connect(LOOPBACK, port)
        await told("drop-input-stream", source)
        await told("drop-output-stream", sink)
        await told("drop-tcp-socket", connection)
        await asyncio.wait_for(ended.wait(), 10)
        assert told.engine.sockets.open == 0


async def test_a_socket_is_not_dropped_before_its_streams(told: Told) -> None:
    with silent() as port:
        connection, *_ = await told.connect(LOOPBACK, port)
        with pytest.raises(Trap, match="still held"):
            await told("drop-tcp-socket", connection)


async def test_the_end_of_a_guest_closes_what_it_has_open(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    ended = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()

    async with served(watch) as port, telling(engine, socket_guest, HERE, LISTENING) as told:
        await told.connect(LOOPBACK, port)
        _, listened = await told.listen(LOOPBACK)
        told.pool.clear_idle()
        await asyncio.wait_for(ended.wait(), 10)
        assert engine.sockets.open == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, listened)


async def test_a_guest_has_so_many_sockets_and_no_more(told: Told) -> None:
    sockets = [await told.tcp() for _ in range(GUEST_SOCKETS_MAX)]
    assert await told("create-tcp-socket", "ipv4") == "new-socket-limit"
    assert await told("create-udp-socket", "ipv6") == "new-socket-limit"
    await told("drop-tcp-socket", sockets[0])
    assert isinstance(await told("create-udp-socket", "ipv6"), int)
    assert told.engine.sockets.open == GUEST_SOCKETS_MAX


async def test_a_connection_that_no_socket_is_left_for_waits(told: Told) -> None:
    listener, port = await told.listen(LOOPBACK)
    sockets = [await told.tcp() for _ in range(GUEST_SOCKETS_MAX - 1)]
    async with connected(port):
        await told.wait("tcp-socket-subscribe", listener)
        assert await told("accept", listener) == "new-socket-limit"
        await told("drop-tcp-socket", sockets[0])
        await told.accept(listener)
