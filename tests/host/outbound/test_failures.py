"""What goes wrong is told in the terms of `wasi:http`."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from aiohttp.abc import AbstractStreamWriter
from outbound_servers import Answers, Body, asking, head, ok, read, request, serving

from lath.testing import eventually
from lath_host.engine.sockets.network import SocketBudget
from lath_host.outbound.resolver import COMPONENT_LOOKUPS_MAX, LOOKUPS_MAX, Find, Resolver
from lath_host.outbound.transport import CONNECTIONS_PER_TARGET_MAX, FIELD_BYTES_MAX, FIELDS_MAX
from lath_host.outbound.uploads import Patience, Upload
from lath_host.outbound.ways import WaysOut

pytestmark = pytest.mark.timeout(60)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (b"", "connection-terminated"),
        (b"HTTP/1.1 200 OK\r\nx: y", "connection-terminated"),
        (b"hello\r\n\r\n", "HTTP-protocol-error"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "HTTP-protocol-error"),
        (b"HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n", "HTTP-protocol-error"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "HTTP-protocol-error"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "HTTP-protocol-error"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2 * FIELD_BYTES_MAX, "HTTP-response-header-section-size"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 2 * FIELDS_MAX, "HTTP-response-header-section-size"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", "HTTP-response-incomplete"),
        (CHUNKED + b"5\r\n12345\r\n", "HTTP-response-incomplete"),
        (CHUNKED + b"5\r\n123", "HTTP-response-incomplete"),
        (CHUNKED + b"xyz\r\n", "HTTP-protocol-error"),
    ],
)  # fmt: skip
async def test_a_broken_response_is_told_apart(reply: bytes, failure: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(reply)

    async with serving(answer) as server, asking(server.origin) as component:
        assert await component.failure(server.origin, "POST") == failure


async def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{bound.getsockname()[1]}"
        async with asking(origin) as component:
            assert await component.failure(origin) == "connection-refused"


async def test_of_several_addresses_that_fail_the_reason_is_told() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        async with asking(f"localhost:{port}") as component:
            failure = await component.failure(f"http://localhost:{port}")
    assert failure in ("connection-refused", "destination-IP-unroutable", "destination-unavailable")


def finding(error: Exception) -> Find:
    def find(name: str) -> list[str]:
        raise error

    return find


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), {"DNS-error": {"rcode": "NXDOMAIN", "info-code": None}}),
        (socket.gaierror(socket.EAI_AGAIN, "x"), {"DNS-error": {"rcode": "SERVFAIL", "info-code": None}}),
        (OSError("x"), {"DNS-error": {"rcode": None, "info-code": None}}),
    ],
)
async def test_a_name_without_an_answer_is_told(error: Exception, code: object) -> None:
    async with asking("*", ways=WaysOut(resolver=Resolver(finding(error)))) as component:
        assert await component.error_code("http://example.com") == code


async def test_names_that_nobody_answers_cost_their_component_its_share_and_others_nothing() -> None:
    answered, asked = threading.Event(), []

    def find(name: str) -> list[str]:
        asked.append(name)
        if name != "quick.test":
            answered.wait()
        return ["127.0.0.1"]

    async with serving(ok(b"here")) as server:
        ways = WaysOut(resolver=Resolver(find))
        quick = [f"quick.test:{server.port}", server.origin]
        async with asking("*", ways=ways) as slow, asking(*quick, ways=ways) as other:
            names = [f"http://slow{number}.test/" for number in range(LOOKUPS_MAX)]
            failures = [slow.failure(url, connect_timeout_ms=50) for url in names]
            assert set(await asyncio.gather(*failures)) == {"DNS-timeout"}
            assert len(asked) == COMPONENT_LOOKUPS_MAX
            assert await other.text(f"http://quick.test:{server.port}/") == "here"
            answered.set()
            failure = await slow.failure("http://slow.test/")
            assert failure == "destination-IP-prohibited"  # it has its share again


async def test_a_name_that_does_not_exist_is_told_by_the_systems_look_up() -> None:
    async with asking("*") as component:
        assert await component.failure("http://nowhere.invalid") == "DNS-error"


async def test_a_connection_that_is_not_made_in_time_is_told() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as server:
        origin = server.origin.replace("http:", "https:")  # no hello comes back
        async with asking(origin) as component:
            assert await component.failure(origin, connect_timeout_ms=50) == "connection-timeout"


async def test_each_pause_of_a_server_has_its_limit() -> None:
    async def pause(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "/midway" in await head(reader):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
        await reader.read()

    async with serving(pause) as server, asking(server.origin) as component:
        failure = await component.failure(server.origin + "/", first_byte_timeout_ms=20)
        assert failure == "connection-read-timeout"
        failure = await component.failure(server.origin + "/midway", between_bytes_timeout_ms=20)
        assert failure == "connection-read-timeout"


async def test_a_server_that_does_not_read_a_request_runs_out_of_time() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.get_running_loop().create_future()

    body = Body([b"x" * 65536] * 1000)
    async with serving(deaf) as server, asking(server.origin) as component:
        failure = await component.failure(server.origin, "POST", body=body, first_byte_timeout_ms=100)
        assert failure == "connection-write-timeout" and body.closed
        assert body.given < 1000 * 65536


class Slow(Body):
    """A body that its guest takes time for."""

    def __init__(self) -> None:
        super().__init__([b"a", b"b"])
        self.empty = True
        self.go_on = asyncio.Event()

    async def __anext__(self) -> bytes:
        await self.go_on.wait()
        return await super().__anext__()


class NoWriter(AbstractStreamWriter):
    """Takes what is written, and sends it nowhere."""

    async def write(self, chunk: object) -> None: ...

    async def write_eof(self, chunk: bytes = b"") -> None: ...

    async def drain(self) -> None: ...

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None: ...

    def enable_chunking(self) -> None: ...

    async def write_headers(self, status_line: str, headers: object) -> None: ...


async def test_the_header_of_a_request_does_not_wait_for_its_body() -> None:
    headed = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        headed.set()
        assert await reader.readuntil(b"0\r\n\r\n")
        writer.write(ok(b"thanks"))

    body = Slow()
    async with serving(wait) as server, asking(server.origin) as component, asyncio.timeout(5):
        asked = asyncio.create_task(component.text(server.origin, "POST", body=body))
        await headed.wait()
        body.go_on.set()
        assert await asked == "thanks"


async def test_a_guest_that_takes_its_time_with_a_request_is_given_it() -> None:
    async with asyncio.timeout(None) as clock:
        patience = Patience(clock, 60)
        body = Slow()
        upload = Upload(request("http://a/", "POST", body=body), patience)
        patience.start()
        assert clock.when() is not None
        sending = asyncio.create_task(upload.write(NoWriter()))
        await eventually(lambda: clock.when() is None)  # while it waits for the guest
        body.go_on.set()
        await sending
        assert clock.when() is not None


async def test_connections_to_one_target_are_limited() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(hang) as server, asking(server.origin) as component:
        held = [asyncio.create_task(component.ask(server.origin)) for _ in range(CONNECTIONS_PER_TARGET_MAX)]
        await eventually(lambda: server.connections == CONNECTIONS_PER_TARGET_MAX)
        failure = await component.failure(server.origin, connect_timeout_ms=20)
        assert failure == "connection-limit-reached"
        for each in held:
            each.cancel()
        await asyncio.wait(held)


async def test_connections_count_among_what_the_guests_of_a_host_have_open() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    budget = SocketBudget(3)
    async with serving(hang) as server, serving(ok(b"here")) as other:
        async with asking(server.origin, budget=budget) as one, asking(other.origin, budget=budget) as two:
            held = [asyncio.create_task(one.ask(server.origin)) for _ in range(3)]
            await eventually(lambda: server.connections == 3)
            assert await two.failure(other.origin) == "connection-limit-reached"
            held.pop().cancel()
            await eventually(lambda: budget.open == 2)
            assert await two.text(other.origin) == "here"
            for each in held:
                each.cancel()
            await asyncio.wait(held)
        await eventually(lambda: budget.open == 0)


async def test_a_connection_that_fails_counts_no_more() -> None:
    budget = SocketBudget()
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        async with asking(f"localhost:{port}", budget=budget) as component:
            await component.failure(f"http://localhost:{port}")
            assert budget.open == 0


async def test_a_scheme_that_is_not_http_is_refused() -> None:
    async with asking("*") as component:
        assert await component.failure("ftp://example.com/") == "HTTP-protocol-error"


async def test_a_request_goes_to_the_address_that_answers() -> None:
    async with serving(ok(b"here")) as server:
        ways = WaysOut(resolver=Answers(two_test=["127.0.0.2 127.0.0.1"]))
        patterns = [f"{host}:{server.port}" for host in ("two.test", "127.0.0.1", "127.0.0.2")]
        async with asking(*patterns, ways=ways) as component:
            assert await read(await component.ask(f"http://two.test:{server.port}/")) == b"here"
