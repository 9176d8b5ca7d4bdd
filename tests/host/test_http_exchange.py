"""HTTP requests of providers reach components: in the same process, and on another host, alike."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import guests
import pytest
from asking_provider import Asking
from http_components import ECHO, HELLO
from http_python_guest import build_http_guest
from http_served import chunks, whole
from nats.aio.msg import Msg

from lath import subjects, telemetry
from lath.bus import Bus
from lath.errors import (
    CallCancelled,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    LinkNotFound,
    NotFound,
    Overloaded,
    Trap,
)
from lath.http import HttpRequest, HttpResponse
from lath.names import CLIENT_SOURCE, NO_LINK, InterfaceName
from lath.provider import Link, ProviderInstance
from lath.rpc import streams
from lath.rpc.streams import WINDOW_BYTES_MAX
from lath.telemetry.tracetree import read_traces
from lath.testing import eventually
from lath_host import Host
from lath_host.components.component import Component
from lath_host.engine import Engine
from lath_host.engine.wasi.bodies import PIPE_BYTES_MAX
from lath_host.providers.builtin import BuiltinProvider
from lath_host.testing import HostProcess, InProcessLattice

pytestmark = pytest.mark.timeout(300)

HANDLER = "wasi:http/incoming-handler"
MIB = 1 << 20
ASKER = telemetry.TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "")


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@dataclass
class Way:
    """How requests get from the provider `web` to components.

    Attributes:
        lattice: With the host of the components, its last.
        provider: Who asks.
        engine: Of the hosts.
    """

    lattice: InProcessLattice
    provider: ProviderInstance
    engine: Engine

    @property
    def host(self) -> Host:
        return self.lattice.hosts[-1]

    async def serve(self, source: str | bytes | Path, **scale: Any) -> Link:
        """Places a component and links the provider to it."""
        event = await self.lattice.start_component("site", source, host=self.host, **scale)
        assert event.name == "component_scaled", event.data
        return await self.link()

    async def serve_python(self, **scale: Any) -> Link:
        """Likewise the Python component of `http_python_guest`, whose paths are its functions."""
        guest = build_http_guest()
        await self.engine.compile(guest)  # for the first test that takes it: half a minute
        return await self.serve(guest, **scale)

    async def link(self) -> Link:
        record = await self.lattice.link("web", "site", HANDLER)
        await self.provider.settled(record.key, record.revision)
        return Link.of(record, "web")

    @property
    def component(self) -> Component:
        return self.host.services.components.get("site")

    @property
    def running(self) -> int:
        return self.component._stats().running

    async def ask(self, link: Link, *, timeout_ms: int = 10_000, **request: Any) -> HttpResponse:
        return await self.provider.http(link, HttpRequest(**request), timeout_ms=timeout_ms)


async def endless(*pieces: bytes) -> AsyncIterator[bytes]:
    """A body that begins, and then does not go on."""
    for piece in pieces:
        yield piece
    await asyncio.Event().wait()


@pytest.fixture(params=["beside", "over the bus"])
async def way(
    request: pytest.FixtureRequest,
    lattice_in_process: InProcessLattice,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Way]:
    lattice = lattice_in_process
    if request.param == "beside":
        yield Way(lattice, await built_in(lattice, tmp_path, monkeypatch), engine)
        return
    await lattice.add_hosts(1)
    async with (
        await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="web") as bus,
        ProviderInstance(Asking(), bus, provider_id="web") as provider,
    ):
        yield Way(lattice, provider, engine)


async def built_in(
    lattice: InProcessLattice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ProviderInstance:
    metadata = tmp_path / "asking-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: asking\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[lath.providers]\nasking = asking_provider:Asking\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    host = lattice.hosts[0]
    async with lattice.events() as events:
        fields = {"provider_id": "web", "provider_ref": "builtin:asking", "host_id": host.id}
        assert (await lattice.ask("provider", "start", host.id, **fields)).success
        await events.wait("provider_started", provider_id="web")
    running = host.services.providers._running["web"]
    assert isinstance(running, BuiltinProvider) and running._instance is not None
    return running._instance


async def test_a_component_says_hello(way: Way) -> None:
    link = await way.serve(HELLO)
    response = await way.ask(link)
    assert response.status == 200 and response.headers == []
    assert await whole(response) == b"hello"
    await eventually(lambda: way.running == 0)


@pytest.mark.parametrize("size", [0, 1, 65_537, PIPE_BYTES_MAX, PIPE_BYTES_MAX + 1, 3 * MIB + 17])
async def test_a_body_of_every_size_comes_back_whole(way: Way, size: int) -> None:
    link = await way.serve(ECHO)
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    response = await way.ask(link, method="POST", body=chunks(body))
    assert await whole(response) == body
    await eventually(lambda: way.running == 0)


async def test_64_mib_stream_through_in_bounded_memory_with_back_pressure(way: Way) -> None:
    link = await way.serve(ECHO)
    piece, count = bytes(range(256)) * 1024, 256
    sent = received = ahead = warm_kib = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(count):
            sent += len(piece)
            yield piece

    response = await way.ask(link, method="POST", body=body())
    async for chunk in response.body:
        at = received % len(piece)
        assert chunk == (piece * 2)[at : at + len(chunk)]
        received += len(chunk)
        ahead = max(ahead, sent - received)
        if received < 16 * MIB:
            warm_kib = peak_kib()
    assert received == count * len(piece)
    assert ahead <= 4 * MIB
    assert peak_kib() - warm_kib < 16 * 1024
    await eventually(lambda: way.component._usage.totals()["bytes_out"] == received)
    assert way.component._usage.totals()["bytes_in"] == received


async def test_a_response_that_nobody_reads_stops_the_request(way: Way) -> None:
    link = await way.serve(ECHO)
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield bytes(65536)

    response = await way.ask(link, method="POST", body=body())
    await anext(aiter(response.body))
    await eventually(lambda: sent > PIPE_BYTES_MAX)
    for _ in range(300):
        await asyncio.sleep(0)
    await way.lattice.bus.flush()
    assert sent <= 2 * WINDOW_BYTES_MAX + 4 * PIPE_BYTES_MAX
    await response.body.aclose()
    await eventually(lambda: way.running == 0)


async def test_what_is_asked_and_answered_arrives_as_it_is(way: Way) -> None:
    link = await way.serve_python()
    response = await way.ask(
        link, path_with_query="/about?x=1", method="POST", scheme="https", authority="me:1",
        headers=[("X-A", b"\xff"), ("x-a", b"2"), ("Host", b"me:1"), ("connection", b"close")],
    )  # fmt: skip
    assert response.status == 418
    assert response.headers == [("X-A", b"\xff"), ("x-a", b"2")]
    assert await whole(response) == b"Method_Post Scheme_Https me:1 /about?x=1"


@pytest.mark.parametrize("size", [1, MIB])
async def test_trailers_pass_both_ways(way: Way, size: int) -> None:
    link = await way.serve_python()
    response = await way.ask(
        link, path_with_query="/trailers", method="POST", body=chunks(b"a", b"b" * size),
        trailers=lambda: [("x-sum", b"7")],
    )  # fmt: skip
    assert await whole(response) == b""
    assert response.trailers == [("x-sum", b"7"), ("x-more", b"1")]


async def test_trailers_follow_a_response_that_streams(way: Way) -> None:
    link = await way.serve_python()
    body = chunks(*(bytes(65536) for _ in range(32)))
    response = await way.ask(
        link, path_with_query="/echo-trailers", method="POST", body=body, trailers=lambda: [("x-sum", b"7")]
    )
    assert len(await whole(response)) == 2 * MIB
    assert response.trailers == [("x-sum", b"7")]


async def test_a_trap_before_the_head_is_the_callers_error(way: Way) -> None:
    link = await way.serve_python()
    with pytest.raises(Trap, match="unreachable"):
        await way.ask(link, path_with_query="/trap")
    await eventually(lambda: way.running == 0)


async def test_a_trap_after_the_head_ends_the_body(way: Way) -> None:
    link = await way.serve_python()
    response = await way.ask(link, path_with_query="/head-then-trap")
    assert await anext(aiter(response.body)) == b"so far"
    with pytest.raises(Trap, match="unreachable"):
        await anext(aiter(response.body))
    await eventually(lambda: way.running == 0)


async def test_an_error_code_in_place_of_a_response_is_told(way: Way) -> None:
    link = await way.serve_python()
    with pytest.raises(Trap, match="configuration-error"):
        await way.ask(link, path_with_query="/refuse")


async def test_a_guest_that_never_answers_is_cancelled_at_the_deadline(way: Way) -> None:
    link = await way.serve_python()
    with pytest.raises(DeadlineExceeded):
        await way.ask(link, path_with_query="/hang", timeout_ms=500)
    await eventually(lambda: way.running == 0)


async def test_a_guest_that_does_not_go_on_is_cancelled_by_the_components_limit(way: Way) -> None:
    link = await way.serve_python(component_limits={"timeout_ms": 1000})
    response = await way.ask(link, path_with_query="/hang-midway", timeout_ms=20_000)
    assert await anext(aiter(response.body)) == b"so far"
    with pytest.raises(DeadlineExceeded, match="did not go on with its body within 1000 ms"):
        await anext(aiter(response.body))
    await eventually(lambda: way.running == 0)


async def test_a_body_may_take_longer_than_the_head_had_time(way: Way) -> None:
    link = await way.serve(ECHO, component_limits={"timeout_ms": 20_000})
    go = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"last"

    response = await way.ask(link, method="POST", body=body(), timeout_ms=1000)
    assert await anext(aiter(response.body)) == b"first"
    loop = asyncio.get_running_loop()
    past = loop.time() + 1.2
    await eventually(lambda: loop.time() > past, what="the time of the head to be over")
    go.set()
    assert await whole(response) == b"last"


@pytest.mark.parametrize("path", ["/flood", "/hang-midway"])
async def test_a_client_that_is_gone_ends_the_guest(way: Way, path: str) -> None:
    link = await way.serve_python()
    response = await way.ask(link, path_with_query=path)
    assert await anext(aiter(response.body))
    assert way.running == 1
    await response.body.aclose()
    await eventually(lambda: way.running == 0)


async def test_a_caller_that_gives_up_before_the_head_ends_the_guest(way: Way) -> None:
    link = await way.serve_python()
    asked = asyncio.ensure_future(way.ask(link, path_with_query="/hang", timeout_ms=60_000))
    await eventually(lambda: way.running == 1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await eventually(lambda: way.running == 0)


async def test_a_request_body_that_breaks_off_is_the_guests_error(way: Way) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError("the client is gone")

    link = await way.serve(ECHO)
    response = await way.ask(link, method="POST", body=body())
    assert await whole(response) == b"some"  # this guest takes any error for the end
    await eventually(lambda: way.running == 0)


async def test_a_request_past_the_instances_and_the_queue_is_refused_and_was_not_touched(way: Way) -> None:
    link = await way.serve_python(count=1, component_limits={"queue_max": 0})
    held = await way.ask(link, path_with_query="/hang-midway")
    fetched = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal fetched
        while True:
            fetched += 1
            yield bytes(2 * PIPE_BYTES_MAX)

    with pytest.raises(Overloaded):
        await way.ask(link, path_with_query="/echo", method="POST", body=body())
    assert fetched <= 1  # at most what was to go with the message
    await held.body.aclose()
    await eventually(lambda: way.running == 0)
    assert await whole(await way.ask(link, path_with_query="/hello")) == b"hello"


async def test_without_a_link_nothing_is_served(way: Way) -> None:
    link = await way.serve(HELLO)
    stranger = Link.of(link.record.model_copy(update={"name": "other"}), "web")
    with pytest.raises(LinkNotFound):
        await way.ask(stranger)


async def test_a_component_that_serves_no_http_says_so(way: Way) -> None:
    link = await way.serve(guests.echo())
    with pytest.raises(NotFound, match="does not export wasi:http/incoming-handler"):
        await way.ask(link)


async def test_a_host_that_stops_lets_a_response_end(way: Way) -> None:
    link = await way.serve(ECHO)
    go = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"last"

    response = await way.ask(link, method="POST", body=body())
    assert await anext(aiter(response.body)) == b"first"
    stopping = asyncio.create_task(way.component.stop(20_000))
    await eventually(lambda: not way.component.has_room())
    go.set()
    assert await whole(response) == b"last"
    await stopping


async def test_a_component_that_stops_hard_is_an_error_and_no_end(way: Way) -> None:
    link = await way.serve_python()
    response = await way.ask(link, path_with_query="/hang-midway")
    assert await anext(aiter(response.body)) == b"so far"
    component = way.component
    await component.close()
    with pytest.raises(CallCancelled):
        await anext(aiter(response.body))


async def test_the_trace_goes_on_and_its_spans_end_with_the_body(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    monkeypatch.setenv("LATH_TRACE_DIR", str(traces))
    link = await way.serve(ECHO)
    go = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"last"

    await asyncio.to_thread(telemetry.setup, "exchange")
    try:
        with telemetry.use(ASKER):
            response = await way.ask(link, method="POST", body=body())
        assert await anext(aiter(response.body)) == b"first"
        began_ns = time.time_ns()
        go.set()
        assert await whole(response) == b"last"
        await eventually(lambda: way.running == 0)
    finally:
        await asyncio.to_thread(telemetry.shutdown)
    client, server = (await asyncio.to_thread(read_traces, traces))[ASKER.trace_id].spans()
    assert (client.name, client.kind) == (f"{HANDLER}.handle", "client")
    assert (server.name, server.kind) == (f"{HANDLER}.handle", "server")
    assert server.end_ns > began_ns > server.start_ns
    assert server.attributes["lath.bytes_in"] == server.attributes["lath.bytes_out"] == len(b"firstlast")


async def test_a_response_that_breaks_off_is_an_error_of_its_spans_and_of_nobody_else(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: unheard.append(about))
    link = await way.serve_python()
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    await asyncio.to_thread(telemetry.setup, "exchange")
    try:
        with telemetry.use(ASKER):
            response = await way.ask(link, path_with_query="/head-then-trap")
        with pytest.raises(Trap):
            await whole(response)
        await eventually(lambda: not [t for t in asyncio.all_tasks() if t.get_name() == "lath-http-observed"])
    finally:
        await asyncio.to_thread(telemetry.shutdown)
    spans = (await asyncio.to_thread(read_traces, tmp_path))[ASKER.trace_id].spans()
    assert [span.kind for span in spans] == ["client", "server"]
    assert "unreachable" in spans[-1].error
    del response
    gc.collect()
    assert unheard == []


async def test_a_guest_is_told_the_span_that_it_runs_in(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await way.serve_python()
    came = [("traceparent", ASKER.traceparent.encode()), ("x-a", b"1")]
    with telemetry.use(ASKER):
        unrecorded = await way.ask(link, path_with_query="/about", headers=came)
    assert unrecorded.headers == came
    await unrecorded.body.aclose()
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    await asyncio.to_thread(telemetry.setup, "exchange")
    try:
        with telemetry.use(ASKER):
            recorded = await way.ask(link, path_with_query="/about", headers=came)
        await whole(recorded)
        await eventually(lambda: way.running == 0)
    finally:
        await asyncio.to_thread(telemetry.shutdown)
    _, server = (await asyncio.to_thread(read_traces, tmp_path))[ASKER.trace_id].spans()
    inside = f"00-{ASKER.trace_id}-{server.span_id}-01".encode()
    assert recorded.headers == [("x-a", b"1"), ("traceparent", inside)]


async def test_a_small_exchange_is_one_message_each_way(way: Way) -> None:
    """Beside the component it is none."""
    link = await way.serve(HELLO)
    calls: list[Msg] = []
    others: list[str] = []

    async def note(msg: Msg) -> None:
        if msg.subject.startswith("lath.rpc"):
            calls.append(msg)
        else:
            others.append(msg.subject)

    async with await Bus.connect(way.lattice.server.url, lattice=way.lattice.bus.lattice, name="spy") as spy:
        for subject in ("lath.rpc.>", "lath.rpci.>", "_INBOX.>"):
            await spy.nc.subscribe(subject, cb=note)
        await spy.flush()
        response = await way.ask(link, method="POST", body=chunks(b"a", b"b"), headers=[("a", b"b")])
        assert await whole(response) == b"hello"
        await way.host.services.bus.flush()
        await spy.flush()
    beside = "web" in way.host.services.providers
    assert len(calls) == (0 if beside else 1)
    assert [others.count(call.reply) for call in calls] == [1] * len(calls)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_host_that_is_lost_amid_a_response_is_an_error_and_no_end(
    lattice_in_process: InProcessLattice,
    process: Callable[..., Awaitable[HostProcess]],
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
) -> None:
    monkeypatch.setattr(streams, "ASK_EVERY_S", 0.5)
    monkeypatch.setattr(streams, "GONE_S", 3.0)
    lattice = lattice_in_process
    host = await process()
    async with (
        await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="web") as bus,
        ProviderInstance(Asking(), bus, provider_id="web") as provider,
    ):
        event = await lattice.start_component("site", ECHO, host=host.id)
        assert event.name == "component_scaled", event.data
        record = await lattice.link("web", "site", HANDLER)
        await provider.settled(record.key, record.revision)
        request = HttpRequest(method="POST", body=endless(b"so far"))
        response = await provider.http(Link.of(record, "web"), request, timeout_ms=60_000)
        assert await anext(aiter(response.body)) == b"so far"
        host.signal(how)
        with pytest.raises(ConnectionLost):
            await anext(aiter(response.body))


async def test_what_is_no_request_is_refused(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("site", HELLO)
    tail = subjects.call_tail(CLIENT_SOURCE, NO_LINK, InterfaceName.parse(HANDLER), "handle")
    for payload in (b"", b"\xc1", b"\x80", b"\x90", b"\x81\xa6method\xa3GET"):
        with pytest.raises(InvalidArgument):
            await lattice.caller.call("site", tail, payload, linked=False)
