"""Instances are taken from slots: wiped between users, bounded, and not needed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from engine_components import CANONICAL, LIBC
from engine_guests import MISCHIEF, no_imports

from lath.errors import Overloaded
from lath_host.engine import Engine
from lath_host.engine.allocation import has_address_space
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

CONTEXT = CallContext()
REMEMBERING = f"""
(component
  {LIBC}
  (core module $guest
    (import "libc" "memory" (memory 2))
    (global $seen (mut i32) (i32.const 0))
    (func (export "swap") (param $at i32) (param $value i32) (result i32) (local $old i32)
      (if (i32.lt_u (memory.size) (i32.const 40)) (then (drop (memory.grow (i32.const 40)))))
      (local.set $old (i32.add (global.get $seen) (i32.load (local.get $at))))
      (global.set $seen (local.get $value))
      (i32.store (local.get $at) (local.get $value))
      (local.get $old)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))))
  (func (export "swap") (param "at" u32) (param "value" u32) (result u32)
    (canon lift (core func $guest "swap") {CANONICAL})))
""".encode()
"""Returns what its memory and a global held, and puts another value there."""


async def call(pool: InstancePool, function: str, *params: Any) -> Any:
    return await pool.call("lath:test/mischief@1.2.0", function, list(params), context=CONTEXT)


@pytest.fixture
async def few() -> AsyncIterator[Engine]:
    """An engine with few slots: other tests' engines may have left no address space for many."""
    engine = Engine(threads=1, instances_max=4)
    yield engine
    await engine.close()


async def test_a_slot_that_was_used_holds_nothing_of_its_last_user(few: Engine) -> None:
    assert few.slots
    compiled = await few.compile(REMEMBERING)
    async with InstancePool(few, compiled, Limits(), no_imports, name="swap") as pool:
        for at in (8, 100_000, 2_000_000):  # within what is overwritten, within the first size, beyond it
            for _ in range(20):
                assert await pool.call("", "swap", [at, 0xABCD], context=CONTEXT) == 0
                await asyncio.sleep(0)


async def test_past_the_slots_calls_are_refused_at_once_and_then_there_is_room_again() -> None:
    opened = asyncio.Event()

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        await opened.wait()
        return str(params[0])

    async with Engine(threads=1, instances_max=3) as engine:
        compiled = await engine.compile(MISCHIEF)
        limits = Limits(warm_instances=0)
        async with InstancePool(engine, compiled, limits, answer, name="many") as pool:
            calls = [asyncio.ensure_future(call(pool, "ask", "x")) for _ in range(3)]
            async with asyncio.timeout(20):
                while pool.stats.running < 3:  # noqa: ASYNC110 - any state, not an event
                    await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="no room for another instance"):
                await call(pool, "hello", "x")
            opened.set()
            assert await asyncio.gather(*calls) == ["x"] * 3
            await asyncio.sleep(0)
            assert await call(pool, "hello", "x") == "x"


async def test_without_slots_results_are_the_same() -> None:
    async with Engine(threads=1, instances_max=None) as engine:
        assert engine.slots is None
        compiled = await engine.compile(MISCHIEF)
        async with InstancePool(engine, compiled, Limits(), no_imports, name="few") as pool:
            assert [await call(pool, "count") for _ in range(5)] == [1] * 5


LIMITED = """
import asyncio, resource
from lath_host.engine import Engine
resource.setrlimit(resource.RLIMIT_AS, (1 << 38, 1 << 38))
async def main():
    async with Engine(threads=1) as engine:
        await engine.compile(b'(component)')
        print(engine.slots)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")
async def test_where_address_space_is_limited_an_engine_does_without_slots() -> None:
    result = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "None"
    assert not has_address_space(1 << 40)
