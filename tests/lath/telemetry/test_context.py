"""Trace context: W3C's rules, and that it travels byte for byte."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lath import telemetry
from lath.subjects import HEADER_TRACEPARENT, HEADER_TRACESTATE

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_valid_traceparent_is_read() -> None:
    context = telemetry.extract({HEADER_TRACEPARENT: GOOD, HEADER_TRACESTATE: "a=1,b@v=2"})
    assert context is not None
    assert context.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert context.span_id == "b7ad6b7169203331"
    assert context.sampled
    assert context.tracestate == "a=1,b@v=2"


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_only_the_lowest_flag_says_whether_a_trace_is_sampled(flags: str, sampled: bool) -> None:
    context = telemetry.extract({HEADER_TRACEPARENT: GOOD[:-2] + flags})
    assert context is not None
    assert context.sampled is sampled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        GOOD + "-00",
        GOOD + "x",
        GOOD + "\n",
        GOOD.upper(),
        "ff" + GOOD[2:],
        "0g" + GOOD[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        GOOD.replace("-", "_"),
        GOOD[:-1],
        "01" + GOOD[2:] + "x",
        "01" + GOOD[2:] + "-\r\nevil: 1",
        "01" + GOOD[2:] + "-" + "x" * 1000,
    ],
)
def test_a_malformed_traceparent_is_ignored(text: str) -> None:
    assert telemetry.extract({HEADER_TRACEPARENT: text, HEADER_TRACESTATE: "a=1"}) is None


def test_a_later_version_may_say_more_and_is_forwarded_as_it_came() -> None:
    text = "cc" + GOOD[2:] + "-what-the-future-brings"
    context = telemetry.extract({HEADER_TRACEPARENT: text})
    assert context is not None
    assert context.traceparent == text
    assert context.sampled


@pytest.mark.parametrize(
    "text", ["a", "=1", "A=1", "a=1\r\nevil: 2", "a=b=c", ",".join(["a=1"] * 33), "a=" + "x" * 5000]
)
def test_a_malformed_tracestate_is_dropped_and_the_traceparent_kept(text: str) -> None:
    context = telemetry.extract({HEADER_TRACEPARENT: GOOD, HEADER_TRACESTATE: text})
    assert context is not None
    assert context == telemetry.TraceContext(GOOD, "")


@given(st.text(max_size=80))
def test_no_text_makes_extract_fail(text: str) -> None:
    context = telemetry.extract({HEADER_TRACEPARENT: text, HEADER_TRACESTATE: text})
    assert context is None or context.traceparent == text


def test_without_an_exporter_the_trace_context_is_forwarded_byte_for_byte() -> None:
    context = telemetry.TraceContext(GOOD, "a=1 , b=2")
    assert not telemetry.recording()
    with telemetry.use(context), telemetry.span("x:y/z.f", "server") as span:
        assert span is telemetry.NO_SPAN
        headers: dict[str, str] = {}
        telemetry.inject(headers)
    assert headers == {HEADER_TRACEPARENT: GOOD, HEADER_TRACESTATE: "a=1 , b=2"}
    assert telemetry.current() is None


def test_without_a_trace_nothing_is_injected() -> None:
    headers: dict[str, str] = {}
    telemetry.inject(headers)
    assert headers == {}


async def test_a_task_inherits_the_trace_and_does_not_leak_its_own() -> None:
    async def inner() -> str:
        context = telemetry.current()
        telemetry.replace_current(None)
        return context.traceparent if context else ""

    with telemetry.use(telemetry.TraceContext(GOOD)):
        assert await asyncio.create_task(inner()) == GOOD
        assert telemetry.current() == telemetry.TraceContext(GOOD)
