"""Guests reach real servers by what their tools give them, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from http_components import relay
from http_served import Served, serving_pool
from outbound_servers import Answers, head, ok, serving

from lath import telemetry
from lath.errors import DeadlineExceeded
from lath.telemetry import TraceContext
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.surroundings import Surroundings
from lath_host.outbound.client import OutgoingClient
from lath_host.outbound.ways import WaysOut

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def reaching(
    engine: Engine, web: CompiledComponent, allowed_hosts: Sequence[str]
) -> AsyncIterator[Served]:
    """A guest with these `allowed_hosts`."""
    client = OutgoingClient("web", allowed_hosts, WaysOut(resolver=Answers(inside_example=["127.0.0.1"])))
    try:
        async with serving_pool(engine, web, surroundings=Surroundings(outbound=client)) as guest:
            yield guest
    finally:
        await client.close()


async def test_a_guest_fetches_from_a_host_that_it_was_given(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    reply = ok(b"from there")
    async with serving(reply) as server, reaching(python_engine, python_web, [server.origin]) as guest:
        assert await guest.text(f"/fetch?{server.origin}/a?b") == "from there"
    assert server.requests == [f"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nx-asked: 1\r\n\r\n"]


@pytest.mark.parametrize(
    ("url", "allowed", "told"),
    [
        ("http://127.0.0.1:{port}/", [], "ErrorCode_HttpRequestDenied"),
        ("http://127.0.0.1:{port}/", ["*"], "ErrorCode_DestinationIpProhibited"),
        ("http://inside.example:{port}/", ["*"], "ErrorCode_DestinationIpProhibited"),
        ("http://127.1:{port}/", ["*"], "ErrorCode_HttpRequestUriInvalid"),
        ("http://nowhere.invalid/", ["*"], "ErrorCode_DnsError"),
    ],
)
async def test_a_guest_is_told_why_it_reaches_no_other(
    python_engine: Engine, python_web: CompiledComponent, url: str, allowed: list[str], told: str
) -> None:
    async with serving(ok(b"secret")) as server:
        async with reaching(python_engine, python_web, allowed) as guest:
            assert await guest.text("/fetch?" + url.format(port=server.port)) == told
        assert server.connections == 0


class Passing:
    """Counts what goes in and what comes out.

    Attributes:
        ahead: By how much the one was ever ahead of the other, bytes.
    """

    def __init__(self) -> None:
        self.in_ = self.out = self.ahead = 0

    def goes_in(self, size: int) -> None:
        self.in_ += size
        self.ahead = max(self.ahead, self.in_ - self.out)


async def body(size: int, passing: Passing) -> AsyncIterator[bytes]:
    piece = bytes(65536)
    for _ in range(size // len(piece)):
        passing.goes_in(len(piece))
        yield piece


async def test_a_body_of_64_mib_passes_a_guest_both_ways_and_little_of_it_is_kept(
    python_engine: Engine,
) -> None:
    size, up, down = 64 << 20, Passing(), Passing()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert "transfer-encoding: chunked" in (await head(reader)).lower()
        end = b""
        while not end.endswith(b"\r\n0\r\n\r\n"):
            chunk = await reader.read(65536)
            end = (end + chunk)[-7:]
            up.out += len(chunk)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        async for piece in body(size, down):
            writer.write(piece)
            await writer.drain()

    async with serving(serve) as server:
        web = await python_engine.compile(relay(f"127.0.0.1:{server.port}"))
        async with reaching(python_engine, web, [server.origin]) as guest:
            response = await guest.ask(method="POST", body=body(size, up), timeout_ms=60_000)
            async for chunk in response.body:
                down.out += len(chunk)
    assert up.in_ == down.in_ == down.out == size and up.out > size
    assert max(up.ahead, down.ahead) < 24 << 20  # most of it is what the system's sockets hold


async def test_a_guest_sends_the_trace_of_its_call(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    here = TraceContext(f"00-{'1' * 32}-{'2' * 16}-01", "vendor=1")
    async with serving(ok()) as server, reaching(python_engine, python_web, [server.origin]) as guest:
        with telemetry.use(here):
            await guest.text("/fetch?" + server.origin)
    assert f"\r\ntraceparent: {here.traceparent}\r\ntracestate: vendor=1\r\n" in server.requests[0]


async def test_a_guest_that_ends_takes_its_connections_with_it(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        assert await reader.read() == b""
        gone.set()

    async with serving(hang) as server, reaching(python_engine, python_web, [server.origin]) as guest:
        with pytest.raises(DeadlineExceeded):
            await guest.ask("/fetch?" + server.origin, timeout_ms=1000)
        async with asyncio.timeout(10):
            await gone.wait()
