"""Instances: fresh or reused, bounded, queued for, and given back on every path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from engine_guests import MISCHIEF, no_imports

from lath.errors import (
    CallCancelled,
    DeadlineExceeded,
    Draining,
    InvalidArgument,
    LathError,
    Overloaded,
    Trap,
)  # fmt: skip
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.admission import Admission
from lath_host.engine.guest import Guest
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import, ImportHandler
from lath_host.engine.pool import InstancePool

CONTEXT = CallContext()
ENDLESS_START = b"""
(component
  (core module $guest (func $spin (loop $forever (br $forever))) (start $spin))
  (core instance (instantiate $guest)))
"""


@pytest.fixture(scope="module")
def mischief(engine: Engine) -> CompiledComponent:
    return asyncio.run(engine.compile(MISCHIEF))


class Gate:
    """An import that is answered once the gate is open; tells how many wait at it."""

    def __init__(self) -> None:
        self.waiting = 0
        self.most = 0
        self.changed = asyncio.Condition()
        self.opened = asyncio.Event()

    async def answer(self, import_: Import, context: CallContext, params: list[Any]) -> str:
        await self._count(1)
        try:
            await self.opened.wait()
        finally:
            self.waiting -= 1
        return str(params[0])

    async def _count(self, by: int) -> None:
        async with self.changed:
            self.waiting += by
            self.most = max(self.most, self.waiting)
            self.changed.notify_all()

    async def reached_by(self, count: int) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.waiting >= count)


@pytest.fixture
def gate() -> Gate:
    return Gate()


Deploy = Callable[..., InstancePool]


@pytest.fixture
async def deploy(engine: Engine, mischief: CompiledComponent) -> Any:
    pools: list[InstancePool] = []

    def make(
        on_import: ImportHandler = no_imports, admission: Admission | None = None, **limits: Any
    ) -> InstancePool:
        bounds = Limits(**limits)
        pools.append(InstancePool(engine, mischief, bounds, on_import, name="mischief", admission=admission))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()
        assert not pool._linkage.guests
        assert pool.stats.running == pool.stats.queued == pool.stats.idle == 0


async def call(pool: InstancePool, function: str, *params: Any, timeout_ms: int | None = None) -> Any:
    return await pool.call(
        "lath:test/mischief@1.2.0", function, list(params), context=CONTEXT, timeout_ms=timeout_ms
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - any state, not an event
            await asyncio.sleep(0.001)


async def test_every_call_gets_an_instance_that_nobody_has_used(deploy: Deploy) -> None:
    pool = deploy()
    assert [await call(pool, "count") for _ in range(10)] == [1] * 10


async def test_with_reuse_one_instance_serves_call_after_call(deploy: Deploy) -> None:
    pool = deploy(reuse=True)
    assert [await call(pool, "count") for _ in range(10)] == list(range(1, 11))
    assert pool.stats.idle == 1


async def test_a_reused_instance_is_replaced_after_calls_max(deploy: Deploy) -> None:
    pool = deploy(reuse=True, calls_max=3)
    assert [await call(pool, "count") for _ in range(8)] == [1, 2, 3, 1, 2, 3, 1, 2]


async def test_a_reused_instance_without_calls_is_dropped_and_the_next_call_makes_another(
    deploy: Deploy,
) -> None:
    pool = deploy(reuse=True, idle_seconds=1)
    assert [await call(pool, "count") for _ in range(2)] == [1, 2]
    assert pool.stats.idle == 1
    await until(lambda: pool.stats.idle == 0)
    assert await call(pool, "count") == 1


async def test_of_idle_instances_only_those_without_calls_are_dropped(deploy: Deploy, gate: Gate) -> None:
    pool = deploy(gate.answer, reuse=True, idle_seconds=1)
    calls = [asyncio.ensure_future(call(pool, "ask", str(n))) for n in range(3)]
    await gate.reached_by(3)
    gate.opened.set()
    await asyncio.gather(*calls)
    used = 0
    while pool.stats.idle > 1:
        used += 1
        assert await call(pool, "count") == used  # always the one that was used last
        await asyncio.sleep(0)
    assert await call(pool, "count") == used + 1


async def test_a_trapped_instance_is_not_used_again(deploy: Deploy) -> None:
    pool = deploy(reuse=True)
    assert await call(pool, "count") == 1
    with pytest.raises(Trap):
        await call(pool, "trap")
    assert await call(pool, "count") == 1
    assert (pool.stats.calls, pool.stats.failures) == (3, 1)


async def test_reused_instances_serve_one_call_at_a_time(deploy: Deploy, gate: Gate) -> None:
    pool = deploy(gate.answer, reuse=True)
    calls = [asyncio.ensure_future(call(pool, "ask", str(n))) for n in range(5)]
    await gate.reached_by(5)
    gate.opened.set()
    assert await asyncio.gather(*calls) == ["0", "1", "2", "3", "4"]
    assert pool.stats.idle == 5


async def test_instances_are_made_ahead_and_again_after_use(deploy: Deploy) -> None:
    pool = deploy(warm_instances=3)
    await pool.start()
    await until(lambda: pool.stats.idle == 3)
    await call(pool, "hello", "x")
    await until(lambda: pool.stats.idle == 3)


async def test_two_hundred_guests_wait_for_an_import_at_once(deploy: Deploy, gate: Gate) -> None:
    pool = deploy(gate.answer, max_instances=200)
    calls = [asyncio.ensure_future(call(pool, "ask", str(n))) for n in range(200)]
    await gate.reached_by(200)
    gate.opened.set()
    assert await asyncio.gather(*calls) == [str(n) for n in range(200)]


async def test_max_instances_bounds_what_runs_and_the_rest_queue_in_turn(deploy: Deploy, gate: Gate) -> None:
    pool = deploy(gate.answer, max_instances=2, queue_max=3)
    order: list[str] = []

    async def one(name: str) -> None:
        order.append(await call(pool, "ask", name))

    calls = [asyncio.ensure_future(one(str(n))) for n in range(5)]
    await gate.reached_by(2)
    await until(lambda: pool.stats.queued == 3)
    with pytest.raises(Overloaded, match=r"2 calls run \(max_instances\) and 3 wait \(queue_max\)"):
        await call(pool, "ask", "one too many")
    gate.opened.set()
    await asyncio.gather(*calls)
    assert order == ["0", "1", "2", "3", "4"]
    assert gate.most == 2


async def test_time_in_the_queue_counts(deploy: Deploy, gate: Gate) -> None:
    pool = deploy(gate.answer, max_instances=1)
    running = asyncio.ensure_future(call(pool, "ask", "x"))
    await gate.reached_by(1)
    with pytest.raises(DeadlineExceeded, match="in the queue"):
        await call(pool, "hello", "x", timeout_ms=20)
    assert pool.stats.queued == 0
    gate.opened.set()
    assert await running == "x"


async def test_a_caller_that_leaves_the_queue_takes_no_permit(deploy: Deploy, gate: Gate) -> None:
    pool = deploy(gate.answer, max_instances=1)
    running = asyncio.ensure_future(call(pool, "ask", "x"))
    await gate.reached_by(1)
    leaving = [asyncio.ensure_future(call(pool, "hello", "x")) for _ in range(5)]
    staying = asyncio.ensure_future(call(pool, "hello", "stays"))
    await until(lambda: pool.stats.queued == 6)
    for task in leaving:
        task.cancel()
    gate.opened.set()
    results = await asyncio.gather(running, staying, *leaving, return_exceptions=True)
    assert results[:2] == ["x", "stays"]
    await until(lambda: pool.stats.running == 0)


async def test_permits_survive_any_mixture_of_ends(deploy: Deploy) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        await asyncio.sleep(0)
        return str(params[0])

    pool = deploy(answer, max_instances=3, timeout_ms=30)

    async def one(number: int) -> None:
        function = ["trap", "spin", "ask", "hello", "tell"][number % 5]
        params = ["x"] if function in ("ask", "hello", "tell") else []
        task = asyncio.ensure_future(call(pool, function, *params))
        if number % 7 == 0:
            for _ in range(number % 5):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            error = task.exception()
            assert error is None or isinstance(error, LathError)

    await asyncio.gather(*(one(number) for number in range(60)))
    await until(lambda: pool.stats.running == 0)
    assert await asyncio.gather(*(call(pool, "hello", "x") for _ in range(3))) == ["x"] * 3


async def test_draining_lets_running_calls_end_and_refuses_others(deploy: Deploy, gate: Gate) -> None:
    pool = deploy(gate.answer, max_instances=1)
    running = asyncio.ensure_future(call(pool, "ask", "x"))
    await gate.reached_by(1)
    queued = asyncio.ensure_future(call(pool, "hello", "x"))
    await until(lambda: pool.stats.queued == 1)
    draining = asyncio.ensure_future(pool.drain())
    with pytest.raises(Draining):
        await queued
    with pytest.raises(Draining):
        await call(pool, "hello", "x")
    assert not draining.done()
    gate.opened.set()
    assert await running == "x"
    await draining


@pytest.mark.parametrize("function", ["ask", "spin"])
async def test_closing_ends_running_calls(deploy: Deploy, gate: Gate, function: str) -> None:
    pool = deploy(gate.answer)
    running = asyncio.ensure_future(call(pool, function, *(["x"] if function == "ask" else [])))
    await until(lambda: pool.stats.running == 1)
    await pool.close()
    await pool.close()
    with pytest.raises(CallCancelled, match="mischief was stopped"):
        await running


async def test_a_pool_may_be_closed_twice_at_once_while_an_instance_starts(engine: Engine) -> None:
    compiled = await engine.compile(ENDLESS_START)
    pool = InstancePool(engine, compiled, Limits(warm_instances=0), no_imports, name="endless")
    await pool.scale(Limits(warm_instances=1))
    await until(lambda: any(_in_a_thread(guest) for guest in pool._linkage.guests.values()))
    async with asyncio.timeout(20):
        await asyncio.gather(pool.close(), pool.close())
    assert not pool._linkage.guests


def _in_a_thread(guest: Guest) -> bool:
    return guest._polling is not None and guest._polling._taken


async def test_scaling_up_lets_the_queue_in(deploy: Deploy, gate: Gate) -> None:
    pool = deploy(gate.answer, max_instances=1)
    calls = [asyncio.ensure_future(call(pool, "ask", str(n))) for n in range(3)]
    await until(lambda: pool.stats.queued == 2)
    await pool.scale(Limits(max_instances=3))
    await gate.reached_by(3)
    gate.opened.set()
    await asyncio.gather(*calls)


async def test_pools_that_share_an_admission_are_bounded_together_and_served_in_turn(
    deploy: Deploy, gate: Gate
) -> None:
    shared = Admission("mischief", max_instances=2, queue_max=3)
    one, other = (deploy(gate.answer, shared, max_instances=2, queue_max=3) for _ in range(2))
    order: list[str] = []

    async def ask(pool: InstancePool, name: str) -> None:
        order.append(await call(pool, "ask", name))

    calls = [asyncio.ensure_future(ask((one, other)[n % 2], str(n))) for n in range(5)]
    await gate.reached_by(2)
    await until(lambda: one.stats.queued + other.stats.queued == 3)
    assert (one.stats.running, other.stats.running) == (1, 1)
    for pool in (one, other):
        with pytest.raises(Overloaded, match=r"2 calls run \(max_instances\) and 3 wait \(queue_max\)"):
            await call(pool, "ask", "one too many")
    gate.opened.set()
    await asyncio.gather(*calls)
    assert order == ["0", "1", "2", "3", "4"]
    assert gate.most == 2


async def test_draining_one_of_the_pools_that_share_an_admission_leaves_the_other_in_line(
    deploy: Deploy, gate: Gate
) -> None:
    shared = Admission("mischief", max_instances=1, queue_max=10)
    leaving, staying = (deploy(gate.answer, shared, max_instances=1) for _ in range(2))
    running = asyncio.ensure_future(call(leaving, "ask", "x"))
    await gate.reached_by(1)
    refused = asyncio.ensure_future(call(leaving, "hello", "x"))
    waiting = asyncio.ensure_future(call(staying, "hello", "stays"))
    await until(lambda: leaving.stats.queued == staying.stats.queued == 1)
    draining = asyncio.ensure_future(leaving.drain())
    with pytest.raises(Draining):
        await refused
    assert not draining.done()
    assert staying.stats.queued == 1
    gate.opened.set()
    assert await running == "x"
    assert await waiting == "stays"
    await draining
    assert shared.running == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"max_instances": 0}, {"queue_max": -1}, {"timeout_ms": 0}, {"fuel_max": 0},
        {"calls_max": 0, "reuse": True}, {"idle_seconds": 0, "reuse": True},
        {"calls_max": 5}, {"idle_seconds": 5},
    ],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(InvalidArgument, match=f"limit {next(iter(bad))}"):
        Limits(**bad)  # type: ignore[arg-type]
