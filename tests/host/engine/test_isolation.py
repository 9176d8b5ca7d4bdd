"""One guest's trouble is nobody else's: the loop stays awake, memory stays bounded."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
from engine_components import echo
from engine_guests import BUCKETS, MISCHIEF, no_imports
from msgpack import ExtType

from lath.errors import CallCancelled, DeadlineExceeded, Trap
from lath.testing import eventually
from lath.wit.types import Case, Field, Flags, ListOf, OptionOf, Primitive, Record, ResultOf, Variant
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.guest import Guest
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

CONTEXT = CallContext()
STRING = Primitive("string")


@pytest.fixture(scope="module")
def mischief(engine: Engine) -> CompiledComponent:
    return asyncio.run(engine.compile(MISCHIEF))


async def call(pool: InstancePool, function: str, *params: Any, timeout_ms: int | None = None) -> Any:
    return await pool.call(
        "lath:test/mischief@1.2.0", function, list(params), context=CONTEXT, timeout_ms=timeout_ms
    )


async def test_a_hundred_calls_end_while_another_component_loops_for_ever(
    engine: Engine, mischief: CompiledComponent
) -> None:
    bad = InstancePool(engine, mischief, Limits(timeout_ms=60_000), no_imports, name="bad")
    good = InstancePool(engine, mischief, Limits(), no_imports, name="good")
    loops = [asyncio.ensure_future(call(bad, "spin")) for _ in range(4)]  # more than the engine has threads
    try:
        async with asyncio.timeout(30):
            while bad.stats.running < len(loops):  # noqa: ASYNC110 - any state, not an event
                await asyncio.sleep(0)
            for number in range(100):
                assert await call(good, "hello", str(number)) == str(number)
                await asyncio.sleep(0)
        assert not any(task.done() for task in loops)
    finally:
        await bad.close()
        await good.close()
    for task in loops:
        with pytest.raises(CallCancelled):
            await task


async def test_a_hundred_calls_end_while_others_trap_and_eat_memory(
    engine: Engine, mischief: CompiledComponent
) -> None:
    limits = Limits(memory_bytes_max=4 * 1024 * 1024)
    async with (
        InstancePool(engine, mischief, limits, no_imports, name="bad") as bad,
        InstancePool(engine, mischief, Limits(), no_imports, name="good") as good,
    ):
        for number in range(100):
            results = await asyncio.gather(
                call(good, "hello", str(number)), call(bad, "trap"), call(bad, "eat"), return_exceptions=True
            )
            assert results[0] == str(number)
            assert isinstance(results[1], Trap)
            assert 0 < results[2] <= 64
        assert good.stats.failures == 0


async def test_busy_guests_share_the_threads_and_all_finish(
    engine: Engine, mischief: CompiledComponent
) -> None:
    async with InstancePool(engine, mischief, Limits(), no_imports, name="busy") as pool:
        results = await asyncio.gather(*(call(pool, "work", 20_000_000) for _ in range(6)))
    assert len(set(results)) == 1


async def test_a_busy_guest_may_still_ask_its_imports(engine: Engine, mischief: CompiledComponent) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        await asyncio.sleep(0)
        return f"{params[0]}!"

    async with InstancePool(engine, mischief, Limits(reuse=True), answer, name="busy") as pool:
        for _ in range(3):
            await call(pool, "work", 20_000_000)
            assert await call(pool, "ask", "x") == "x!"
            assert await call(pool, "toil", "y") == "y!"


async def test_a_function_that_was_busy_starts_in_a_thread_until_it_is_quick_again(
    engine: Engine, mischief: CompiledComponent
) -> None:
    async with InstancePool(engine, mischief, Limits(reuse=True), no_imports, name="busy") as pool:
        await call(pool, "work", 1)
        settings = await pool._ready()
        assert not settings.busy_exports
        await call(pool, "work", 50_000_000)
        assert len(settings.busy_exports) == 1
        async with asyncio.timeout(30):
            while settings.busy_exports:
                await call(pool, "work", 1)


async def test_the_loop_stays_awake_beside_busy_guests(engine: Engine, mischief: CompiledComponent) -> None:
    """Turns of the loop are counted while a guest loops: one that held the loop would leave none."""
    pool = InstancePool(engine, mischief, Limits(timeout_ms=60_000), no_imports, name="busy")
    loop = asyncio.ensure_future(call(pool, "spin"))
    async with asyncio.timeout(30):
        for _ in range(1000):
            await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(CallCancelled):
        await loop


def resident_kib() -> int:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


SHAPE = Variant(
    (Case("circle", Primitive("f64")), Case("path", ListOf(Primitive("u32"))), Case("none", None))
)
NESTED = Record(
    (
        Field("name", STRING),
        Field("tags", ListOf(STRING)),
        Field("shape", SHAPE),
        Field("outcome", ResultOf(OptionOf(STRING), STRING)),
        Field("flags", Flags(("a", "b"))),
        Field("data", ListOf(Primitive("u8"))),
    )
)
VALUE = {
    "name": "näme" * 20,
    "tags": ["x" * 50] * 4,
    "shape": {"path": list(range(50))},
    "outcome": {"ok": "fine" * 10},
    "flags": ["b"],
    "data": bytes(500),
}
GROWTH_KIB_MAX = 12_000
"""A leak of a hundred bytes per call would show as more, with 20,000 calls of several hundred allocations."""


async def test_nested_values_leave_no_memory_behind(engine: Engine) -> None:
    compiled = await engine.compile(echo(NESTED))
    wrong = VALUE | {"data": "not bytes"}
    async with InstancePool(engine, compiled, Limits(reuse=True), no_imports, name="echo") as pool:

        async def several(count: int) -> None:
            for _ in range(count):
                assert await pool.call("", "echo", [[VALUE]], context=CONTEXT) == [VALUE]
                with pytest.raises(ValueError, match="expected bytes"):
                    await pool.call("", "echo", [[wrong]], context=CONTEXT)

        await several(500)
        before = resident_kib()
        await several(10_000)
        assert resident_kib() - before < GROWTH_KIB_MAX


async def test_instances_imports_and_handles_leave_no_memory_behind(engine: Engine) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
        if import_.function == "open":
            return {"ok": ExtType(1, b"x" * 200)}
        return "y" * 500

    compiled = await engine.compile(BUCKETS)
    async with InstancePool(engine, compiled, Limits(), answer, name="buckets") as pool:

        async def several(count: int) -> None:
            for _ in range(count):
                assert len(await pool.call("", "read", ["name"], context=CONTEXT)) == 500
                await pool.call("", "hoard", ["name"], context=CONTEXT)
                with pytest.raises(ValueError, match="expected handle"):
                    await pool.call("", "use-own", [b""], context=CONTEXT)
                assert await pool.call("", "pass-own", [ExtType(1, b"z")], context=CONTEXT) == ExtType(
                    1, b"z"
                )

        await several(200)
        before = resident_kib()
        await several(1500)
        assert resident_kib() - before < GROWTH_KIB_MAX


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def stores() -> int:
    gc.collect()
    return sum(isinstance(each, Guest) for each in gc.get_objects())


async def test_calls_of_all_ends_leave_no_store_and_no_descriptor_behind(
    engine: Engine, mischief: CompiledComponent
) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        await asyncio.sleep(0)
        return "y"

    async def cancelled(pool: InstancePool) -> None:
        running = asyncio.ensure_future(call(pool, "ask", "x"))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    before = stores()
    async with InstancePool(engine, mischief, Limits(warm_instances=0), answer, name="mixed") as pool:
        await call(pool, "hello", "x")
        open_before = descriptors()
        for _ in range(50):
            assert await call(pool, "ask", "x") == "y"
            with pytest.raises(Trap):
                await call(pool, "trap")
            with pytest.raises(DeadlineExceeded):
                await call(pool, "spin", timeout_ms=1)
            await cancelled(pool)
        await eventually(lambda: stores() == before)
        assert descriptors() == open_before
