"""Names that guests look up: those that they were given, and what they are told of them."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from socket_guests import telling

from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.sockets.guest_sockets import GUEST_LOOKUPS_MAX
from lath_host.outbound.resolver import Find

Answers = dict[str, list[str] | socket.gaierror]


def finding(answers: Answers) -> Find:
    """A resolver in the system's place: there is none here that could be given names of a test's."""

    def find(name: str) -> list[str]:
        answer = answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return find


async def test_localhost_is_this_machine_and_nobody_is_asked(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    async with telling(engine, socket_guest, "localhost:5432", "db.localhost:1", find=finding({})) as told:
        for name in ("localhost", "LocalHost.", "db.localhost"):
            assert await told.look_up(name) == ["127.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("literal", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("8.8.8.8", "8.8.8.8"),
        ("::1", "::1"),
        ("[fd00::7]", "fd00::7"),
        ("FE80::1%eth0", "fe80::1"),
    ],
)
async def test_an_address_is_given_back_as_it_is(
    engine: Engine, socket_guest: CompiledComponent, literal: str, address: str
) -> None:
    async with telling(engine, socket_guest) as told:
        assert await told.look_up(literal) == [address]


@pytest.mark.parametrize(
    "name",
    ["", ".", "a..b", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "a b", "a" * 64, "xn--\u00fc", "a/b"],
)
async def test_what_is_no_name_is_no_argument(
    engine: Engine, socket_guest: CompiledComponent, name: str
) -> None:
    async with telling(engine, socket_guest, "*:*") as told:
        assert await told.look_up(name) == "invalid-argument"


async def test_an_international_name_is_asked_for_in_ascii(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    find = finding({"xn--bcher-kva.example": ["8.8.8.8"]})
    async with telling(engine, socket_guest, "xn--bcher-kva.example:443", find=find) as told:
        assert await told.look_up("B\u00fccher.example.") == ["8.8.8.8"]


async def test_a_name_that_no_rule_has_is_denied_before_anybody_is_asked(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    async with telling(engine, socket_guest, "db.internal:5432", "10.0.0.0/8:*", find=finding({})) as told:
        for name in ("other.internal", "internal", "x.db.internal", "localhost"):
            assert await told.look_up(name) == "access-denied"


async def test_a_guest_is_told_what_it_may_reach_and_nothing_else(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    answer = ["10.0.0.7", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.8", "fd00::7", "10.0.0.7"]
    find = finding({"db.internal": answer})
    async with telling(engine, socket_guest, "db.internal:5432", find=find) as told:
        assert await told.look_up("DB.internal.") == ["10.0.0.7", "10.0.0.8", "fd00::7"]
    async with telling(engine, socket_guest, "*.internal:5432", find=find) as told:
        assert await told.look_up("db.internal") == "access-denied"
    async with telling(engine, socket_guest, "*:5432", "127.0.0.1:80", find=find) as told:
        assert await told.look_up("db.internal") == ["127.0.0.1"]


async def test_what_a_name_leads_to_is_reached_at_the_ports_of_the_name(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with telling(engine, socket_guest, f"localhost:{port}") as told:
            assert await told.connect("127.0.0.1", port) == "access-denied"
            assert "127.0.0.1" in await told.look_up("localhost")
            _, source, _ = await told.connect("127.0.0.1", port)
            assert await told.read_all(source) == b""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (socket.EAI_NONAME, "name-unresolvable"),
        (socket.EAI_AGAIN, "temporary-resolver-failure"),
        (socket.EAI_FAIL, "permanent-resolver-failure"),
        (socket.EAI_MEMORY, "out-of-memory"),
    ],
)
async def test_a_look_up_that_fails_says_why(
    engine: Engine, socket_guest: CompiledComponent, number: int, code: str
) -> None:
    find = finding({"db.internal": socket.gaierror(number, "no")})
    async with telling(engine, socket_guest, "db.internal:5432", find=find) as told:
        assert await told.look_up("db.internal") == code


async def test_a_name_without_an_address_has_none(engine: Engine, socket_guest: CompiledComponent) -> None:
    find = finding({"db.internal": []})
    async with telling(engine, socket_guest, "db.internal:5432", find=find) as told:
        assert await told.look_up("db.internal") == "name-unresolvable"


async def test_a_look_up_blocks_nobody_and_ends_with_its_guest(
    engine: Engine, socket_guest: CompiledComponent
) -> None:
    asked, answer = threading.Semaphore(0), threading.Event()

    def find(name: str) -> list[str]:
        asked.release()
        answer.wait()
        return ["10.0.0.7"]

    async with telling(engine, socket_guest, "*.internal:5432", find=find) as told:
        streams = [
            await told("resolve-addresses", told.network, f"db{number}.internal")
            for number in range(GUEST_LOOKUPS_MAX)
        ]
        await asyncio.to_thread(asked.acquire)
        assert await told("resolve-next-address", streams[0]) == "would-block"
        refused = await told("resolve-addresses", told.network, "db.internal")
        assert refused == "temporary-resolver-failure"
        await told("drop-resolve-address-stream", streams[0])
        assert isinstance(await told("resolve-addresses", told.network, "db.internal"), int)
    answer.set()
