"""Busy guests share the threads: components take turns, however many calls each has."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from engine_guests import MISCHIEF, no_imports

from lath.errors import CallCancelled, DeadlineExceeded
from lath_host.engine import Engine, capi
from lath_host.engine.engine import cores
from lath_host.engine.guest import INLINE_TICKS, OVERRUNS_MAX
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool
from lath_host.engine.threads import (
    NICE,
    NICE_CROWDED,
    STARVED_SECONDS,
    FairThreads,
    Share,
    Slice,
)
from lath_host.engine.wasm_engines import EngineKind

CONTEXT = CallContext()


class Turns:
    """One thread, held until all work stands in line; notes whose slices it runs, in turn."""

    def __init__(self) -> None:
        self.threads = FairThreads(1)
        self.order: list[str] = []
        self._held = threading.Event()
        self._slices = [self.threads.submit(Share("holder"), self._held.wait)]

    def stand_in_line(self, share: Share, count: int) -> list[Slice]:
        def work() -> bool:
            self.order.append(share.name)
            return True

        slices = [self.threads.submit(share, work) for _ in range(count)]
        self._slices += slices
        return slices

    async def run(self) -> list[str]:
        """Lets go, and returns once all that was not withdrawn has run."""
        self._held.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*(each.future for each in self._slices if not each._withdrawn))
        return self.order


@pytest.fixture
async def turns() -> AsyncIterator[Turns]:
    turns = Turns()
    yield turns
    await asyncio.to_thread(turns.threads.stop)


async def test_there_are_as_many_threads_as_asked_for_or_one_for_each_core() -> None:
    async with Engine(threads=3, instances_max=None) as asked, Engine(instances_max=None) as unasked:
        assert (asked.threads.count, unasked.threads.count) == (3, cores())


async def test_components_take_turns_however_much_work_each_has(turns: Turns) -> None:
    turns.stand_in_line(Share("a"), 50)
    turns.stand_in_line(Share("b"), 3)
    turns.stand_in_line(Share("c"), 2)
    order = await turns.run()
    assert order[:8] == ["a", "b", "c", "a", "b", "c", "a", "b"]
    assert order[8:] == ["a"] * 47


async def test_a_weight_gives_that_many_turns(turns: Turns) -> None:
    turns.stand_in_line(Share("heavy", weight=3), 30)
    turns.stand_in_line(Share("light"), 30)
    order = await turns.run()
    assert order[:40].count("heavy") == 30


async def test_turns_that_were_not_used_are_not_saved_up(turns: Turns) -> None:
    busy, resting = Share("busy"), Share("resting")
    turns.stand_in_line(busy, 100)
    await turns.run()
    turns._held.clear()
    turns._slices = [turns.threads.submit(Share("holder"), turns._held.wait)]
    turns.order.clear()
    turns.stand_in_line(busy, 4)
    turns.stand_in_line(resting, 4)
    order = await turns.run()
    assert order[:4].count("resting") == 2


async def test_what_is_withdrawn_does_not_run(turns: Turns) -> None:
    first, second = turns.stand_in_line(Share("a"), 2)
    assert turns.threads.withdraw(first)
    assert await turns.run() == ["a"]
    assert not turns.threads.withdraw(second)


async def test_what_fails_in_a_thread_fails_for_who_asked(turns: Turns) -> None:
    def work() -> bool:
        raise ValueError("mine")

    failing = turns.threads.submit(Share("a"), work)
    turns._held.set()
    with pytest.raises(ValueError, match="mine"):
        await failing.future
    turns.stand_in_line(Share("b"), 1)
    assert await turns.run() == ["b"]


async def priority_of_next(turns: Turns) -> int:
    """By how much less the priority is of the thread that the next slice runs in."""
    found: list[int] = []

    def look() -> bool:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return True

    turns._held.set()
    async with asyncio.timeout(20):
        await turns.threads.submit(Share("looking"), look).future
    return found[0] - os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows priorities of threads")


@linux
async def test_the_threads_have_less_priority_than_the_loop(turns: Turns) -> None:
    assert await priority_of_next(turns) == NICE


@linux
async def test_threads_that_starve_are_replaced_by_ones_of_more_priority_until_there_is_room(
    turns: Turns,
) -> None:
    await turns.run()
    never = threading.Event()
    # a thread that waits gets as little of a core as one that starves
    await turns.threads.submit(Share("a"), lambda: never.wait(STARVED_SECONDS * 1.5)).future
    assert await priority_of_next(turns) == NICE_CROWDED
    turns.threads._crowded_until = 0.0
    await priority_of_next(turns)
    assert await priority_of_next(turns) == NICE


async def test_what_stands_in_line_runs_though_the_thread_before_it_starved(turns: Turns) -> None:
    never = threading.Event()
    turns._slices.append(turns.threads.submit(Share("a"), lambda: never.wait(STARVED_SECONDS * 1.5)))
    turns.stand_in_line(Share("b"), 3)
    assert await turns.run() == ["b"] * 3


@asynccontextmanager
async def deployed(engine: Engine, *names: str, **limits: Any) -> AsyncIterator[list[InstancePool]]:
    compiled = await engine.compile(MISCHIEF)
    pools = [InstancePool(engine, compiled, Limits(**limits), no_imports, name=name) for name in names]
    try:
        yield pools
    finally:
        for pool in pools:
            await pool.close()


async def call(pool: InstancePool, function: str, *params: Any, timeout_ms: int = 60_000) -> Any:
    return await pool.call(
        "lath:test/mischief@1.2.0", function, list(params), context=CONTEXT, timeout_ms=timeout_ms
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - any state, not an event
            await asyncio.sleep(0.001)


@contextmanager
def cutting_off(engine: Engine, slices: int) -> Iterator[None]:
    """Ends that many polls of guests, one after the other, by advancing the epoch in the middle of each."""
    wasm = engine.engines.of(EngineKind())

    def cut_off() -> None:
        for polls in range(engine.epochs.polls + 1, engine.epochs.polls + 1 + slices):
            while engine.epochs.polls < polls and not over.is_set():
                over.wait(0.0001)
            for _ in range(INLINE_TICKS):
                engine.epochs.now += 1
                capi.engine_increment_epoch(capi.pointer_value(wasm.ptr()))

    over = threading.Event()
    thread = threading.Thread(target=cut_off)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def test_a_call_that_is_cut_off_once_is_not_taken_for_a_busy_one() -> None:
    async with Engine(tick_ms=1000) as engine, deployed(engine, "pool", reuse=True) as (pool,):
        await call(pool, "work", 1)
        with cutting_off(engine, OVERRUNS_MAX):
            await call(pool, "work", 60_000_000)
        assert not (await pool._ready()).busy_exports


async def test_a_call_that_is_cut_off_twice_goes_on_in_a_thread() -> None:
    async with Engine(tick_ms=1000) as engine, deployed(engine, "pool", reuse=True) as (pool,):
        await call(pool, "work", 1)
        with cutting_off(engine, OVERRUNS_MAX + 1), pytest.raises(DeadlineExceeded):
            await call(pool, "spin", timeout_ms=200)
        assert (await pool._ready()).busy_exports


async def test_a_quick_call_that_asks_an_import_ends_the_suspicion_that_it_is_busy() -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        await asyncio.sleep(0)
        return "answer"

    async with Engine() as engine:
        compiled = await engine.compile(MISCHIEF)
        async with InstancePool(engine, compiled, Limits(reuse=True), answer, name="pool") as pool:
            await call(pool, "ask", "x")
            busy_exports = (await pool._ready()).busy_exports
            busy_exports.add(pool._exports.plans["lath:test/mischief@1.2.0", "ask"].index)
            async with asyncio.timeout(30):
                while busy_exports:
                    assert await call(pool, "ask", "x") == "answer"


@pytest.mark.parametrize("threads", [1, 2])
async def test_one_call_gets_its_components_share_beside_fifty_of_another(threads: int) -> None:
    async with Engine(threads=threads) as engine, deployed(engine, "noisy", "quiet") as (noisy, quiet):
        loops = [asyncio.ensure_future(call(noisy, "spin")) for _ in range(50)]
        await until(lambda: noisy._share.slices > 50)
        before = noisy._share.slices
        await call(quiet, "work", 100_000_000)
        of_noisy, of_quiet = noisy._share.slices - before, quiet._share.slices
        assert of_quiet >= 3
        # Its next slice begins when a thread is free next. Without turns it would be one among fifty.
        assert of_noisy <= (of_quiet + 2) * (threads + 1)
        await noisy.close()
        for loop in loops:
            with pytest.raises(CallCancelled):
                await loop


@asynccontextmanager
async def full_machine() -> AsyncIterator[None]:
    """Another process computes on every core."""
    spin = [sys.executable, "-c", "while True: pass"]
    others = [await asyncio.create_subprocess_exec(*spin) for _ in range(cores())]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            await other.wait()


async def test_a_guest_that_computes_goes_on_though_other_processes_fill_the_machine() -> None:
    async with Engine() as engine, deployed(engine, "pool") as (pool,), full_machine():
        await call(pool, "work", 100_000_000, timeout_ms=120_000)
        assert pool._share.slices > 0


async def test_a_call_that_stands_in_line_ends_at_its_deadline_and_leaves_the_line() -> None:
    async with Engine(threads=1) as engine, deployed(engine, "noisy", max_instances=20) as (noisy,):
        results = await asyncio.gather(
            *(call(noisy, "spin", timeout_ms=50) for _ in range(20)), return_exceptions=True
        )
        assert all(isinstance(result, DeadlineExceeded) for result in results)
        await until(lambda: noisy.stats.running == 0)
