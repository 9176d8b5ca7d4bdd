"""The traces of HTTP requests to components."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from http_components import ECHO
from http_served import whole
from http_ways import HANDLER, Way, way

from lath import telemetry
from lath.errors import (
    Trap,
)
from lath.telemetry.tracetree import read_traces
from lath.testing import eventually

__all__ = ["way"]


pytestmark = pytest.mark.timeout(300)


ASKER = telemetry.TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "")


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
