"""What is told of requests: the access log, and the trace that they belong to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from http_front import fronting, hello, text

from lath import telemetry
from lath.errors import Trap
from lath.http import HttpRequest, HttpResponse
from lath.telemetry.tracetree import read_traces
from lath.testing import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def lines(caplog: pytest.LogCaptureFixture, event: str = "request") -> list[dict[str, Any]]:
    return [
        record.msg
        for record in caplog.records
        if isinstance(record.msg, dict) and record.msg.get("event") == event
    ]


async def test_each_request_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="lath.http")
    async with fronting(hello, access_log="true") as front, await front.client() as client:
        await client.get("/a?secret=1", f"traceparent: {PARENT}")
        await client.get("/b", method="POST")
        await eventually(lambda: len(lines(caplog)) == 2)
        line = lines(caplog)[0]
        assert {name: line[name] for name in ("method", "path", "status", "bytes", "target", "ended")} == {
            "method": "GET", "path": "/a", "status": 200, "bytes": 6, "target": "app", "ended": "ok",
        }  # fmt: skip
        assert line["trace_id"] == TRACE
        assert line["peer"].startswith("127.0.0.1:")
        assert line["ms"] >= 0
        assert "secret" not in str(line)


async def test_the_line_says_what_went_wrong(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="lath.http")

    async def fails(request: HttpRequest) -> HttpResponse:
        raise Trap("unreachable")

    async with fronting(fails, access_log="true", path="/app") as front:
        async with await front.client() as client:
            await client.get("/nowhere")
            await client.get("/app")
        async with await front.client() as client:
            await client.send("garbage \r\n\r\n")
            await client.answer()
        assert [(line["status"], line["ended"], line["target"]) for line in lines(caplog)] == [
            (404, "ok", None),
            (502, "trap", "app"),
        ]
        assert lines(caplog, "malformed request")[0]["status"] == 501


async def test_the_log_can_be_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="lath.http")
    async with fronting(hello, access_log="false") as front, await front.client() as client:
        await client.get()
        assert lines(caplog) == []


async def test_the_trace_goes_on_to_the_guest_and_to_what_it_calls() -> None:
    inside: list[telemetry.TraceContext | None] = []

    async def looks(request: HttpRequest) -> HttpResponse:
        inside.append(telemetry.current())
        return text("x")

    async with fronting(looks) as front, await front.client() as client:
        await client.get("/", f"traceparent: {PARENT}", "tracestate: a=1", "tracestate: b=2")
        await client.get("/")
        await client.get("/", "traceparent: nonsense", "tracestate: a=1")
        await client.get("/", f"traceparent: {PARENT}", f"traceparent: {PARENT}")
        assert dict(front.seen[0].headers) == {"traceparent": PARENT.encode(), "tracestate": b"a=1,b=2"}
        assert [context and context.traceparent for context in inside] == [PARENT, None, None, None]
        assert front.seen[1].headers == []


async def test_a_request_that_is_recorded_is_a_span_and_its_guests_the_child(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    await asyncio.to_thread(telemetry.setup, "web")
    try:
        async with fronting(hello, path="/a") as front, await front.client() as client:
            await client.get("/a/b?c", f"traceparent: {PARENT}")
            await client.get("/a", f"traceparent: {PARENT[:-1]}0")
            seen = dict(front.seen[0].headers)["traceparent"].decode()
            assert dict(front.seen[1].headers)["traceparent"].decode() == f"{PARENT[:-1]}0"
    finally:
        await asyncio.to_thread(telemetry.shutdown)
    (trace,) = (await asyncio.to_thread(read_traces, tmp_path)).values()
    (span,) = trace.spans()
    assert (span.name, span.kind, span.parent_id) == ("GET /a/", "server", PARENT[36:52])
    assert seen == f"00-{TRACE}-{span.span_id}-01"
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["url.path"] == "/a/b"
    assert span.attributes["http.route"] == "/a/"
