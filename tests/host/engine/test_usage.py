"""What calls use is counted: time, fuel, memory refused, imports, and told to spans."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_guests import MISCHIEF, PRINTER, no_imports
from otlp_receiver import OtlpReceiver

from lath import telemetry
from lath.errors import LimitExceeded, Trap
from lath.telemetry.tracetree import read_traces
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

CONTEXT = CallContext()
FAR = "lath:test/far@1.0.0"


@pytest.fixture(scope="module")
def mischief(engine: Engine) -> CompiledComponent:
    return asyncio.run(engine.compile(MISCHIEF))


async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
    await asyncio.sleep(0)
    return str(params[0])


def pool_of(
    engine: Engine, compiled: CompiledComponent, on_import: Any = answer, **limits: Any
) -> InstancePool:
    return InstancePool(engine, compiled, Limits(**limits), on_import, name="mischief")


async def call(pool: InstancePool, function: str, *params: Any) -> Any:
    return await pool.call("lath:test/mischief@1.2.0", function, list(params), context=CONTEXT)


async def test_host_calls_are_counted_by_interface(engine: Engine, mischief: CompiledComponent) -> None:
    async with pool_of(engine, mischief, reuse=True) as pool:
        for _ in range(3):
            await call(pool, "ask", "x")
        await call(pool, "hello", "x")
        totals = pool.usage.totals()
    assert totals["host_calls"] == totals[f"host_calls.{FAR}"] == 3


async def test_what_the_host_itself_answers_counts_too(engine: Engine) -> None:
    compiled = await engine.compile(PRINTER)
    async with pool_of(engine, compiled, no_imports) as pool:
        await pool.call("", "print", ["hello\n"], context=CONTEXT)
        counted = {name.partition("@")[0]: count for name, count in pool.usage.host_calls.items()}
    assert counted == {"wasi:cli/stdout": 1, "wasi:io/streams": 1}


async def test_a_busy_guests_time_is_its_computing_not_its_waiting(
    engine: Engine, mischief: CompiledComponent
) -> None:
    computed = 0

    async def answer_after_work(import_: Import, context: CallContext, params: list[Any]) -> str:
        nonlocal computed
        computed = waiting.usage.cpu_ns
        await call(busy, "work", 30_000_000)  # takes long, in a thread; here it counts as waiting
        return str(params[0])

    async with (
        pool_of(engine, mischief) as busy,
        pool_of(engine, mischief, answer_after_work) as waiting,
    ):
        await call(waiting, "ask", "x")
        assert waiting.usage.cpu_ns - computed < busy.usage.cpu_ns < waiting.usage.wall_ns


async def test_the_time_in_the_queue_is_no_computing(engine: Engine, mischief: CompiledComponent) -> None:
    queued: list[asyncio.Task[Any]] = []

    async def answer_while_another_waits(import_: Import, context: CallContext, params: list[Any]) -> str:
        queued.append(asyncio.create_task(call(pool, "hello", "x")))
        await call(busy, "work", 30_000_000)
        return str(params[0])

    async with (
        pool_of(engine, mischief) as busy,
        pool_of(engine, mischief, answer_while_another_waits, max_instances=1, reuse=True) as pool,
    ):
        await call(pool, "ask", "x")
        computed = pool.usage.cpu_ns
        await asyncio.gather(*queued)
        assert pool.usage.cpu_ns - computed < busy.usage.cpu_ns


async def test_quick_calls_count_as_computing(engine: Engine, mischief: CompiledComponent) -> None:
    async with pool_of(engine, mischief, reuse=True) as pool:
        for _ in range(10):
            await call(pool, "hello", "x")
        assert pool.usage.cpu_ns > 0 and pool.usage.instances == 1


@pytest.mark.parametrize("function", ["count", "trap"])
async def test_fuel_is_counted_where_it_is_metered(
    engine: Engine, mischief: CompiledComponent, function: str
) -> None:
    async with pool_of(engine, mischief, fuel_max=100_000) as pool:
        try:
            await call(pool, function)
        except Trap:
            assert function == "trap"
        assert 0 < pool.usage.fuel < 100


async def test_a_call_that_runs_out_of_fuel_has_used_all_of_it(
    engine: Engine, mischief: CompiledComponent
) -> None:
    async with pool_of(engine, mischief, fuel_max=100_000) as pool:
        with pytest.raises(LimitExceeded):
            await call(pool, "spin")
        assert pool.usage.fuel == 100_000


async def test_calls_that_were_denied_memory_are_counted(engine: Engine) -> None:
    compiled = await engine.compile(PRINTER)
    async with pool_of(engine, compiled, no_imports) as pool:
        with pytest.raises(LimitExceeded, match="memory_bytes_max"):
            await pool.call("", "abort", ["memory allocation of 9 bytes failed\n"], context=CONTEXT)
        assert pool.usage.memory_limit_hits == 1


async def test_instances_are_counted(engine: Engine, mischief: CompiledComponent) -> None:
    async with pool_of(engine, mischief, warm_instances=0) as pool:
        for _ in range(4):
            await call(pool, "count")
        assert pool.usage.instances == 4


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    telemetry.setup("usage")
    yield tmp_path
    telemetry.shutdown()


async def test_the_span_of_a_call_says_what_the_call_used(
    engine: Engine, mischief: CompiledComponent, traced: Path
) -> None:
    async with pool_of(engine, mischief, fuel_max=1_000_000) as pool:
        with telemetry.span("the call"):
            await call(pool, "ask", "x")
    await asyncio.to_thread(telemetry.shutdown)
    (trace,) = (await asyncio.to_thread(read_traces, traced)).values()
    attributes = trace.roots[0].attributes
    assert attributes[f"lath.host_calls.{FAR}"] == 1
    assert 0 < attributes["lath.cpu_ms"] <= attributes["lath.wall_ms"]
    assert 0 < attributes["lath.fuel"] < 1000


async def test_metrics_say_what_a_component_has_used_before_and_after_it_was_started_anew(
    engine: Engine, mischief: CompiledComponent, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpReceiver.running() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        await asyncio.to_thread(telemetry.setup, "usage")
        for calls in (2, 3):  # of one component, started anew
            async with pool_of(engine, mischief) as pool:
                end = telemetry.read_usage("mischief", pool.usage.measured)
                await asyncio.gather(*(call(pool, "ask", "x") for _ in range(calls)))
            if calls == 2:
                end()
        await asyncio.to_thread(telemetry.shutdown)
        end()
        metrics = receiver.metrics()
    (point,) = metrics["lath.component.host_calls"].sum.data_points
    attributes = {each.key: each.value.string_value for each in point.attributes}
    assert (attributes, point.as_int) == ({"lath.component": "mischief", "lath.interface": FAR}, 5)
    (point,) = metrics["lath.component.cpu"].sum.data_points
    assert point.as_double > 0
