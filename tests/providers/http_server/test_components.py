"""The server in front of real components: built into their host, and in a process of its own, alike."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from compiled import compile_ahead
from h2.errors import ErrorCodes
from http2_client import Http2Client
from http_components import ANSWER, ECHO, HELLO, serving
from http_front import RawClient
from http_python_guest import build_http_guest

from lath import telemetry
from lath.config import ConfigStore
from lath.links import LinkStore
from lath.model import LinkSpec
from lath.telemetry.tracetree import read_traces
from lath.testing import eventually
from lath.verbs import LinkOps
from lath_host.testing import InProcessLattice, engine, hosts, lattice_in_process, presence_ttl_ms

__all__ = ["engine", "hosts", "lattice_in_process", "presence_ttl_ms"]

pytestmark = pytest.mark.timeout(300)

REQUEST = "GET {} HTTP/1.1\r\nhost: a\r\n\r\n"
PATIENT_MS = "60000"
"""Longer than any test waits."""
READS_ALL = serving(f"""
    (local.set $source (call $source (local.get $request)))
    (loop $more
      (call $reset)
      (call $blocking-read (local.get $source) (i64.const 1048576) (i32.const 0))
      (br_if $more (i32.eqz (i32.load8_u (i32.const 0)))))
    {ANSWER}
    (call $end (local.get $body) (local.get $sink))""")
"""Answers when it has read the request's body."""


@dataclass
class Site:
    """A lattice with a server `web`.

    Attributes:
        process: The server, where it is one of its own.
        port: Where it listens.
    """

    lattice: InProcessLattice
    port: int
    process: asyncio.subprocess.Process | None = None
    ops: LinkOps = field(init=False)

    def __post_init__(self) -> None:
        bus = self.lattice.bus
        self.ops = LinkOps(bus, self.lattice.presence, LinkStore(bus))

    async def serve(self, target: str, source: bytes | Path, config: dict[str, str], **scale: Any) -> None:
        """Places a component and links the server to it; on return it is served."""
        event = await self.lattice.start_component(target, source, **scale)
        assert event.name == "component_scaled", event.data
        address = {"address": f"127.0.0.1:{self.port}"}
        await ConfigStore(self.lattice.bus).put(f"web-{target}", {**address, **config})
        spec = LinkSpec(
            source_id="web", target=target, name=target, wit_namespace="wasi", wit_package="http",
            interfaces=("incoming-handler",), source_config=(f"web-{target}",),
        )  # fmt: skip
        link = await self.ops.put_and_wait(spec, 20_000)
        assert link.verdict == "live", link

    async def client(self) -> RawClient:
        return RawClient(*await asyncio.open_connection("127.0.0.1", self.port))

    def running(self, target: str) -> int:
        return self.lattice.hosts[0].services.components.get(target)._stats().running

    async def stop(self) -> None:
        """Stops the server as an operator does."""
        if self.process is not None:
            self.process.terminate()
            return
        host = self.lattice.hosts[0].id
        assert (await self.lattice.ask("provider", "stop", host, provider_id="web", host_id=host)).success

    async def stopped(self) -> None:
        if self.process is not None:
            async with asyncio.timeout(20):
                assert await self.process.wait() == 0
        else:
            await eventually(lambda: not self.lattice.presence.instances("web"), 20)


@pytest.fixture(params=["built in", "a process"])
async def site(request: pytest.FixtureRequest, lattice_in_process: InProcessLattice) -> AsyncIterator[Site]:
    lattice = lattice_in_process
    found = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = found.sockets[0].getsockname()[1]
    found.close()
    await found.wait_closed()
    if request.param == "built in":
        host = lattice.hosts[0].id
        fields = {"provider_id": "web", "provider_ref": "builtin:http-server", "host_id": host}
        assert (await lattice.ask("provider", "start", host, **fields)).success
        await eventually(lambda: lattice.presence.instances("web"), 20)
        made = Site(lattice, port)
        yield made
        await made.ops.close()
        return
    flags = ["--nats-url", lattice.server.url, "--lattice", lattice.bus.lattice, "--id", "web"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lath_providers.http_server", *flags,
        stderr=asyncio.subprocess.DEVNULL, env={**os.environ, "LATH_LOG_LEVEL": "error"},
    )  # fmt: skip
    try:
        await eventually(lambda: lattice.presence.instances("web"), 30)
        made = Site(lattice, port, process)
        yield made
        await made.ops.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture(scope="session")
def python_web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python component that serves HTTP, as a file."""
    path: Path = tmp_path_factory.mktemp("web") / "web.wasm"
    path.write_bytes(build_http_guest())
    compile_ahead(path)
    return path


@pytest.fixture
async def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """A folder that the spans of the host and of the server are written into; ask for it before `site`."""
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    await asyncio.to_thread(telemetry.setup, "host")
    yield tmp_path
    await asyncio.to_thread(telemetry.shutdown)


async def test_a_request_is_one_trace_from_its_client_to_the_component(traces: Path, site: Site) -> None:
    await site.serve("hello", HELLO, {"path": "/hello"})
    trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with await site.client() as client:
        assert (await client.get("/hello", f"traceparent: 00-{trace_id}-{parent}-01")).status == 200
        assert (await client.get("/hello", f"traceparent: 00-{'1' * 32}-{parent}-00")).status == 200
    await site.stop()
    await site.stopped()
    await asyncio.to_thread(telemetry.shutdown)
    found = await asyncio.to_thread(read_traces, traces)
    assert "1" * 32 not in found
    (root,) = found[trace_id].roots
    assert (root.name, root.kind, root.parent_id) == ("GET /hello/", "server", parent)
    assert root.attributes["lath.link"] == "web.hello.wasi.http.hello"
    inside = [span for span in root.walk() if span is not root]
    assert any("incoming-handler.handle" in span.name for span in inside), [span.name for span in inside]


async def test_components_are_served_by_both_versions_and_by_their_paths(site: Site) -> None:
    await site.serve("hello", HELLO, {"path": "/hello"})
    await site.serve("echo", ECHO, {"path": "/echo", "methods": "POST"})
    async with await site.client() as one, Http2Client.to(site.port) as two:
        assert (await one.get("/hello/x")).text == "hello"
        await one.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody")
        assert (await one.answer()).text == "body"
        assert (await one.get("/echo")).header("allow") == "POST"
        assert (await one.get("/")).status == 404
        assert (await (await two.ask("GET", "/hello")).answer()).text == "hello"
        stream = await two.ask("POST", "/echo", end=False)
        await stream.send(b"body", end=True)
        assert (await stream.answer()).text == "body"


@pytest.mark.parametrize("version", [1, 2])
async def test_a_body_of_20_mib_passes_both_ways(site: Site, version: int) -> None:
    size = 20 * 2**20
    body = bytes(range(256)) * (size // 256)
    await site.serve("echo", ECHO, {"body_bytes_max": str(size), "timeout_ms": PATIENT_MS})
    if version == 1:
        async with await site.client() as one:
            head = f"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n"
            sending = asyncio.create_task(one.send(head, body))
            assert (await one.head()).status == 200
            assert b"".join([chunk async for chunk in one.chunks()]) == body
            await sending
    else:
        async with Http2Client.to(site.port) as two:
            stream = await two.ask("POST", "/", end=False)
            two_sending = asyncio.create_task(stream.send(body, end=True))
            assert (await stream.answer()).body == body
            await two_sending
    await eventually(lambda: site.running("echo") == 0)


async def test_a_body_that_grows_above_the_limit_is_413_however_fast_its_guest_reads(site: Site) -> None:
    await site.serve("reader", READS_ALL, {"body_bytes_max": "1000000"})
    async with await site.client() as client:
        await client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        await client.send(*(b"7a120\r\n%b\r\n" % bytes(500_000) for _ in range(3)))
        assert (await client.answer()).status == 413


async def test_a_guest_sees_the_request_and_its_trace(site: Site, python_web: Path) -> None:
    await site.serve("guest", python_web, {})
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    async with await site.client() as client:
        answer = await client.get("/about?q=1", f"traceparent: {trace}", "x-one: 1", method="OPTIONS")
        assert (answer.status, answer.text) == (418, "Method_Options Scheme_Http localhost /about?q=1")
        assert (answer.header("traceparent"), answer.header("x-one")) == (trace, "1")


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/trap", 502, "trap"),
        ("/refuse", 502, "trap"),
        ("/forget", 502, "trap"),
        ("/hang", 504, "deadline_exceeded"),
    ],
)
async def test_a_guest_that_does_not_answer_is_told_by_a_status(
    site: Site, python_web: Path, path: str, status: int, reason: str
) -> None:
    await site.serve("guest", python_web, {"timeout_ms": "2000" if status == 504 else PATIENT_MS})
    async with await site.client() as client:
        answer = await client.get(path)
        assert (answer.status, answer.text.endswith(f": {reason}\n")) == (status, True)
        assert (await client.get("/hello")).text == "hello"
    await eventually(lambda: site.running("guest") == 0)


async def test_a_guest_that_breaks_off_is_a_reset(site: Site, python_web: Path) -> None:
    await site.serve("guest", python_web, {})
    async with await site.client() as one:
        await one.send(REQUEST.format("/head-then-trap"))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await one.answer()
    async with Http2Client.to(site.port) as two:
        stream = await two.ask("GET", "/head-then-trap")
        await stream.ended()
        assert stream.reset_code == ErrorCodes.INTERNAL_ERROR
        assert (await (await two.ask("GET", "/hello")).answer()).text == "hello"


@pytest.mark.parametrize("path", ["/hang", "/flood", "/hang-midway"])
async def test_a_client_that_goes_away_ends_the_guest(site: Site, python_web: Path, path: str) -> None:
    await site.serve("guest", python_web, {"timeout_ms": PATIENT_MS})
    async with await site.client() as client:
        await client.send(REQUEST.format(path))
        await eventually(lambda: site.running("guest") == 1)
        if path != "/hang":
            assert (await client.head()).status == 200
    await eventually(lambda: site.running("guest") == 0, 20)


async def test_trailers_pass_to_the_guest_and_back(site: Site, python_web: Path) -> None:
    await site.serve("guest", python_web, {})
    async with Http2Client.to(site.port) as two:
        stream = await two.ask("POST", "/trailers", end=False)
        await stream.send(b"body")
        await stream.end([("x-sum", "7")])
        assert (await stream.answer()).status == 200
        assert stream.trailers == [("x-sum", "7"), ("x-more", "1")]


async def test_a_component_without_room_is_503_and_one_that_is_stopped_too_until_it_is_back(
    site: Site, python_web: Path
) -> None:
    limits = {"queue_max": 0}
    await site.serve("guest", python_web, {"timeout_ms": PATIENT_MS}, count=1, component_limits=limits)
    async with await site.client() as busy, await site.client() as client:
        await busy.send(REQUEST.format("/hang"))
        await eventually(lambda: site.running("guest") == 1)
        answer = await client.get("/hello")
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert answer.text.endswith(": overloaded\n")
    await site.lattice.start_component("guest", python_web, count=0)
    await ConfigStore(site.lattice.bus).put(
        "web-guest", {"address": f"127.0.0.1:{site.port}", "timeout_ms": "2000"}
    )

    async def unavailable() -> bool:
        async with await site.client() as asking:
            return (await asking.get("/hello")).text.endswith(": unavailable\n")

    await eventually(unavailable, 20)
    await site.lattice.start_component("guest", python_web)

    async def back() -> bool:
        async with await site.client() as asking:
            return (await asking.get("/hello")).text == "hello"

    await eventually(back, 20)


async def test_requests_of_many_clients_at_once_are_all_answered(site: Site) -> None:
    await site.serve("echo", ECHO, {"timeout_ms": PATIENT_MS}, component_limits={"queue_max": 1_000})

    async def one(number: int) -> None:
        async with await site.client() as client:
            body = f"{number}"
            await client.send(f"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n{body}")
            answer = await client.answer()
            assert (answer.status, answer.text) == (200, body)

    await asyncio.gather(*map(one, range(300)))
    await eventually(lambda: site.running("echo") == 0)


async def test_a_server_that_stops_finishes_what_runs(site: Site) -> None:
    await site.serve("echo", ECHO, {"timeout_ms": PATIENT_MS})
    async with await site.client() as client, await site.client() as idle:
        await client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nfour")
        assert (await client.head()).status == 200
        assert await anext(chunks := client.chunks()) == b"four"
        await idle.get("/", "content-length: 0")
        await site.stop()
        assert await idle.ended()
        await client.send("more")
        assert b"".join([chunk async for chunk in chunks]) == b"more"
        assert await client.ended()
    await site.stopped()
