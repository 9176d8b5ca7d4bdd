"""A sampled call leaves the same spans, wherever its caller and its callee run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import guests
import pytest
from placed_guests import ECHO

from lath import telemetry
from lath.telemetry import TraceContext
from lath.telemetry.tracetree import SpanNode, read_traces

from .conftest import Placed

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = TraceContext(f"00-{TRACE_ID}-b7ad6b7169203331-01", "")
ONLY_OF_THE_BUS = {"lath.attempts", "lath.bytes_in", "lath.bytes_out"}
ONLY_OF_CALLS_BESIDE = {"lath.local"}
USAGE = {"lath.wall_ms", "lath.cpu_ms"}


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this process writes its spans."""
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    telemetry.setup("placement", instance_id="i", host="h")
    yield tmp_path
    telemetry.shutdown()


async def spans_of_a_call(placed: Placed, traces: Path, *, fails: bool = False) -> list[SpanNode]:
    placed.only_fused = False  # sampled calls run unfused, so that a trace shows every call
    with telemetry.use(CALLER):
        await (placed.failure("x") if fails else placed.say("x"))
    await asyncio.to_thread(telemetry.shutdown)
    return list((await asyncio.to_thread(read_traces, traces))[TRACE_ID].spans())


async def test_caller_and_callee_each_have_a_span_that_names_both(placed: Placed, traces: Path) -> None:
    await placed.pair(guests.relay(), guests.echo())
    spans = await spans_of_a_call(placed, traces)
    assert [(span.name, span.kind) for span in spans] == [
        ("test:words/front.say", "client"),
        ("test:words/front.say", "server"),
        ("test:words/echo.say", "client"),
        ("test:words/echo.say", "server"),
    ]
    instance = placed.back_host.services.components.get("back").instance_id
    for span in spans[2:]:
        told = {
            "rpc.system": "lath",
            "rpc.service": "test:words/echo",
            "rpc.method": "say",
            "lath.lattice": placed.lattice.bus.lattice,
            "lath.source": "front",
            "lath.target": "back",
            "lath.instance": instance,
            "lath.link": "default",
        }
        assert told.items() <= span.attributes.items()
        more = span.attributes.keys() - told.keys() - USAGE
        across = placed.way == "across hosts"
        assert more <= (ONLY_OF_THE_BUS if across else ONLY_OF_CALLS_BESIDE)
        assert ("lath.local" in more) == (not across)


async def test_the_span_of_a_failed_call_has_the_kind_of_its_error(placed: Placed, traces: Path) -> None:
    await placed.pair(guests.relay(function="trap"), guests.echo())
    spans = await spans_of_a_call(placed, traces, fails=True)
    assert [span.attributes.get("lath.error.kind") for span in spans] == ["trap"] * 4
    assert ECHO.startswith(str(spans[-1].attributes["rpc.service"]))
