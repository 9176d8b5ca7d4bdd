"""What guests try to get where they may not, on real sockets: every way but the right one is refused."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from socket_guests import Told, address, telling

from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.sockets.guest_sockets import GUEST_SOCKETS_MAX

DENIED = "access-denied"
INVALID = "invalid-argument"


@pytest.fixture
async def guarded() -> AsyncIterator[int]:
    """A server on every address of this machine, which nobody may reach who was not given it; its port."""
    reached: list[Any] = []

    def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("sockname"))
        writer.close()

    server = await asyncio.start_server(note, ["0.0.0.0", "::"], 0, family=socket.AF_UNSPEC)
    async with server:
        yield server.sockets[0].getsockname()[1]
    assert reached == []


@pytest.mark.parametrize(
    ("patterns", "host", "code"),
    [
        ([], "127.0.0.1", DENIED),
        (["*:*"], "127.0.0.1", DENIED),
        (["*:*"], "127.0.0.2", DENIED),
        (["*:*"], "127.255.255.254", DENIED),
        (["*:*"], "::1", DENIED),
        (["*:*"], "169.254.169.254", DENIED),
        (["*:*"], "fe80::1", DENIED),
        (["*:*"], "fd00:ec2::254", DENIED),
        (["*:*"], "2002:7f00:1::", DENIED),  # 6to4 with 127.0.0.1 inside
        (["*:*"], "64:ff9b::7f00:1", DENIED),  # NAT64 likewise
        (["*:*"], "0.0.0.0", INVALID),
        (["*:*"], "::", INVALID),
        (["*:*"], "::ffff:127.0.0.1", INVALID),
        (["*:*"], "::127.0.0.1", INVALID),
        (["*:*"], "255.255.255.255", INVALID),
        (["*:*"], "224.0.0.1", INVALID),
        (["0.0.0.0/0:*", "[::/0]:*"], "127.0.0.1", DENIED),
        (["0.0.0.0/0:*", "[::/0]:*"], "::1", DENIED),
        (["127.0.0.1:1"], "127.0.0.1", DENIED),
        (["127.0.0.2:*"], "127.0.0.1", DENIED),
        (["[::1]:*"], "127.0.0.1", DENIED),
        (["[::1]:*"], "::ffff:127.0.0.1", INVALID),
        (["127.0.0.1:*"], "::ffff:127.0.0.1", INVALID),
        (["127.0.0.1:*"], "::1", DENIED),
        (["127.0.0.1:*"], "0.0.0.0", INVALID),
        (["udp:127.0.0.1:*"], "127.0.0.1", DENIED),
        (["listen:*:*"], "127.0.0.1", DENIED),
        (["localhost:*"], "127.0.0.1", DENIED),  # which it has not looked up
    ],
)
async def test_no_other_way_of_writing_an_address_leads_there(
    engine: Engine, socket_guest: CompiledComponent, guarded: int, patterns: list[str], host: str, code: str
) -> None:
    async with telling(engine, socket_guest, *patterns) as told:
        assert await told.connect(host, guarded) == code


async def test_port_0_is_no_port_to_connect_to(engine: Engine, socket_guest: CompiledComponent) -> None:
    async with telling(engine, socket_guest, "127.0.0.1:*") as told:
        assert await told.connect("127.0.0.1", 0) == INVALID


async def test_a_name_opens_its_own_port_only(
    engine: Engine, socket_guest: CompiledComponent, guarded: int
) -> None:
    async with telling(engine, socket_guest, "localhost:1", f"db.localhost:{guarded}") as told:
        assert "127.0.0.1" in await told.look_up("localhost")
        assert await told.connect("127.0.0.1", guarded) == DENIED


async def test_what_one_guest_has_looked_up_another_has_not(
    engine: Engine, socket_guest: CompiledComponent, guarded: int
) -> None:
    pattern = f"localhost:{guarded}"
    async with telling(engine, socket_guest, pattern) as one, telling(engine, socket_guest, pattern) as other:
        assert "127.0.0.1" in await one.look_up("localhost")
        assert await other.connect("127.0.0.1", guarded) == DENIED


async def bound(told: Told, kind: str, host: str, port: int) -> Any:
    handle = await told(f"create-{kind}-socket", "ipv6" if ":" in host else "ipv4")
    code = await told(f"{kind}-socket-start-bind", handle, told.network, address(host, port))
    if code is not None or kind == "udp":
        return code
    assert await told("tcp-socket-finish-bind", handle) is None
    return await told("start-listen", handle)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("patterns", "host", "port", "code"),
    [
        ([], "127.0.0.1", 8080, DENIED),
        ([], "0.0.0.0", 8080, DENIED),
        ([], "0.0.0.0", 0, DENIED),
        (["*:*"], "127.0.0.1", 8080, DENIED),
        (["*:*"], "0.0.0.0", 8080, DENIED),
        (["127.0.0.1:8080"], "127.0.0.1", 8080, DENIED),
        (["listen:127.0.0.1:1"], "127.0.0.1", 8080, DENIED),
        (["listen:127.0.0.1:8080"], "0.0.0.0", 8080, DENIED),
        (["listen:127.0.0.1:8080"], "::1", 8080, DENIED),
        (["listen:127.0.0.1:8080"], "::", 8080, DENIED),
        (["listen:[::1]:8080"], "::ffff:127.0.0.1", 8080, INVALID),
        (["listen:*:*"], "::ffff:0.0.0.0", 8080, INVALID),
        (["listen:0.0.0.0:8080"], "127.0.0.2", 8080, DENIED),
        (["listen:*:*"], "192.0.2.1", 0, "address-not-bindable"),
    ],
)
async def test_nobody_listens_where_no_rule_says_so(
    engine: Engine, socket_guest: CompiledComponent, kind: str, patterns: list[str], host: str, port: int,
    code: str,
) -> None:  # fmt: skip
    async with telling(engine, socket_guest, *patterns) as told:
        assert await bound(told, kind, host, port) == code


async def test_a_socket_that_is_bound_to_send_takes_no_connections(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    async with telling(engine, socket_guest, "*:443") as told:
        assert await bound(told, "tcp", "0.0.0.0", 0) == DENIED


async def test_no_datagram_goes_to_whom_it_may_not(engine: Engine, socket_guest: CompiledComponent) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as guarded:
        guarded.bind(("127.0.0.1", 0))
        guarded.setblocking(False)
        port = guarded.getsockname()[1]
        patterns = ("*:*", "tcp:127.0.0.1:*", f"127.0.0.1:{port - 1}", "listen:udp:127.0.0.1:*")
        async with telling(engine, socket_guest, *patterns) as told:
            handle = await told.udp("127.0.0.1")
            assert await told("stream", handle, address("127.0.0.1", port)) == DENIED
            _, outgoing = await told("stream", handle, None)
            for host, code in (("127.0.0.1", DENIED), ("0.0.0.0", INVALID), ("127.0.0.2", DENIED)):
                assert await told("check-send", outgoing) > 0
                sent = await told("send", outgoing, [{"data": b"x", "remote-address": address(host, port)}])
                assert sent == code
        with pytest.raises(BlockingIOError):
            guarded.recv(1)


async def test_the_loopback_within_a_guest_leads_nowhere_else(
    engine: Engine, socket_guest: CompiledComponent, guarded: int
) -> None:
    async with telling(engine, socket_guest) as told, telling(engine, socket_guest, "*:*") as other:
        listener, port = await told.listen("127.0.0.1")
        connection, source, sink = await told.connect("127.0.0.1", port)
        _, far_source, far_sink = await told.accept(listener)
        await told("blocking-write-and-flush", sink, b"to myself")
        assert await told("blocking-read", far_source, 100) == b"to myself"
        await told("drop-output-stream", far_sink)
        assert await told("blocking-read", source, 100) == {"closed": None}
        assert await told("tcp-socket-remote-address", connection) == address("127.0.0.1", port)

        assert await told.connect("127.0.0.2", port) == DENIED
        assert await told.connect("127.0.0.1", guarded) == DENIED
        assert await other.connect("127.0.0.1", port) == DENIED
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_socket_of_the_guests_own_loopback_reaches_nobody_outside(
    engine: Engine, socket_guest: CompiledComponent, guarded: int
) -> None:
    async with telling(engine, socket_guest) as told:
        handle = await told.tcp()
        await told("tcp-socket-start-bind", handle, told.network, address("127.0.0.1", 0))
        await told("tcp-socket-finish-bind", handle)
        assert await told.connect("127.0.0.1", guarded, handle) == DENIED


async def test_a_socket_of_the_guests_own_loopback_connects_to_whom_it_may(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        async with telling(engine, socket_guest, f"127.0.0.1:{port}") as told:
            handle = await told.tcp()
            await told("tcp-socket-start-bind", handle, told.network, address("127.0.0.1", 0))
            await told("tcp-socket-finish-bind", handle)
            await told.connect("127.0.0.1", port, handle)
            accepted, peer = server.accept()
            with accepted:
                assert await told("tcp-socket-local-address", handle) == address(*peer)


async def test_connections_of_a_guest_to_itself_count_before_anybody_accepts_them(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    async with telling(engine, socket_guest) as told:
        listener, port = await told.listen("127.0.0.1")
        handle = await told.tcp()
        code = await told("start-connect", handle, told.network, address("127.0.0.1", port))
        while code is None:
            await told("drop-tcp-socket", handle)
            assert engine.sockets.open <= GUEST_SOCKETS_MAX
            handle = await told.tcp()
            if not isinstance(handle, int):
                break
            code = await told("start-connect", handle, told.network, address("127.0.0.1", port))
        assert "new-socket-limit" in (handle, code)
        await told("drop-tcp-socket", listener)
        assert isinstance(await told.tcp(), int)
        assert engine.sockets.open <= 3
    assert engine.sockets.open == 0


async def test_what_is_denied_is_told_once_with_what_would_allow_it(
    engine: Engine, socket_guest: CompiledComponent, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with telling(engine, socket_guest, "localhost:1", "listen:127.0.0.1:1") as told:
            for _ in range(2):
                assert await told.connect("127.0.0.1", 5432) == DENIED
                assert await told.look_up("db.internal") == DENIED
                assert await bound(told, "tcp", "::1", 80) == DENIED
            await told.look_up("localhost")
            assert await told.connect("127.0.0.1", 6379) == DENIED
    denied = [record.msg for record in caplog.records if "denied a socket" in str(record.msg)]
    assert [message["allow_socket"] for message in denied] == [
        "tcp:127.0.0.1:5432", "db.internal:*", "listen:tcp:[::1]:80", "tcp:localhost:6379",
    ]  # fmt: skip
    assert {message["component"] for message in denied} == {"told"}
