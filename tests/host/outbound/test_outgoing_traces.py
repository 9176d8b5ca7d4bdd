"""A request that goes out is a part of the trace that it was made in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.metrics import NoOpMeter
from outbound_servers import asking, ok, serving

from lath import telemetry
from lath.telemetry import TraceContext, metrics
from lath.telemetry.tracetree import SpanNode, read_traces

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
HERE = TraceContext(f"00-{TRACE_ID}-b7ad6b7169203331-01", "vendor=1")
OWN = f"00-{'1' * 32}-{'2' * 16}-01".encode()


def fields(request: str, name: str) -> list[str]:
    lines = [line.partition(": ") for line in request.split("\r\n")]
    return [value for each, _, value in lines if each.lower() == name]


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    telemetry.setup("spec", instance_id="i1", host="h1")
    yield tmp_path
    telemetry.shutdown()


def recorded(directory: Path) -> SpanNode:
    """The one span."""
    telemetry.shutdown()
    (trace,) = read_traces(directory).values()
    (span,) = trace.roots
    return span


@pytest.fixture
def measured() -> Iterator[None]:
    metrics.install(NoOpMeter("test"))
    yield
    metrics.install(None)


async def test_the_trace_goes_on_without_any_exporter() -> None:
    async with serving(ok()) as server, asking(server.origin) as component:
        with telemetry.use(HERE):
            await component.text(server.origin, headers={"tracestate": b"lost=1"})
    (request,) = server.requests
    assert fields(request, "traceparent") == [HERE.traceparent]
    assert fields(request, "tracestate") == ["vendor=1"]


async def test_without_a_trace_none_is_made_up() -> None:
    async with serving(ok()) as server, asking(server.origin) as component:
        await component.text(server.origin)
    assert "trace" not in server.requests[0]


async def test_a_guest_that_traces_by_itself_has_its_way() -> None:
    own = {"TraceParent": OWN, "tracestate": b"mine=1"}
    async with serving(ok()) as server, asking(server.origin) as component:
        with telemetry.use(HERE):
            await component.text(server.origin, headers=own)
    (request,) = server.requests
    assert fields(request, "traceparent") == [OWN.decode()]
    assert fields(request, "tracestate") == ["mine=1"]


async def test_a_guest_that_passes_its_trace_on_does_not_hide_the_span_of_its_request(traced: Path) -> None:
    passed_on = {"TraceParent": HERE.traceparent.encode(), "tracestate": b"vendor=1"}
    async with serving(ok()) as server, asking(server.origin) as component:
        with telemetry.use(HERE):
            await component.text(server.origin, headers=passed_on)
    span = await asyncio.to_thread(recorded, traced)
    assert fields(server.requests[0], "traceparent") == [f"00-{TRACE_ID}-{span.span_id}-01"]
    assert fields(server.requests[0], "tracestate") == ["vendor=1"]


async def test_a_sampled_request_is_a_span_between_the_guest_and_the_server(traced: Path) -> None:
    async with serving(ok()) as server, asking(server.origin) as component:
        with telemetry.use(HERE):
            await component.text(server.origin + "/a/b?token=secret")
    span = await asyncio.to_thread(recorded, traced)
    assert (span.name, span.kind, span.parent_id) == ("GET", "client", HERE.span_id)
    assert span.attributes == {
        "http.request.method": "GET", "http.response.status_code": 200, "server.address": "127.0.0.1",
        "server.port": server.port, "url.full": server.origin + "/a/b",
    }  # fmt: skip
    assert fields(server.requests[0], "traceparent") == [f"00-{TRACE_ID}-{span.span_id}-01"]


async def test_a_request_that_fails_says_so_in_its_span(traced: Path) -> None:
    async with asking("*") as component:
        with telemetry.use(HERE):
            await component.failure("http://127.0.0.1/")
    span = await asyncio.to_thread(recorded, traced)
    assert span.attributes["error.type"] == "destination-IP-prohibited"


@pytest.mark.usefixtures("measured")
async def test_requests_are_counted_by_the_pattern_that_allows_them_and_by_how_they_end() -> None:
    async with serving(ok()) as server, asking(server.origin, "*") as component:
        await component.text(server.origin)
        await component.failure("http://127.0.0.1/")
        await component.failure("http://[::1]/")
        counted = {
            (attributes["lath.target"], attributes["lath.kind"]): durations.count
            for attributes, durations in metrics.call_durations()
            if attributes["rpc.service"] == "wasi:http/outgoing-handler"
        }
    assert counted == {(server.origin, "ok"): 1, ("*", "destination-IP-prohibited"): 2}
