"""All components of a host share one budget of warm instances."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from engine_guests import MISCHIEF, no_imports

from lath.errors import InvalidArgument
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.budget import WarmBudget
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool

CONTEXT = CallContext()
MIB = 1 << 20


class Host:
    """An engine with room for so many instances of 1 MiB, and the pools in it."""

    def __init__(self, engine: Engine, compiled: CompiledComponent) -> None:
        self.engine = engine
        self.budget = engine.warm
        self._compiled = compiled
        self.pools: list[InstancePool] = []

    def deploy(self, **limits: Any) -> InstancePool:
        limits = {"memory_bytes_max": MIB, **limits}
        name = f"c{len(self.pools)}"
        self.pools.append(InstancePool(self.engine, self._compiled, Limits(**limits), no_imports, name=name))
        return self.pools[-1]


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with Engine(threads=1, warm=WarmBudget(3 * MIB)) as engine:
        host = Host(engine, await engine.compile(MISCHIEF))
        yield host
        for pool in host.pools:
            await pool.close()
        assert host.budget.memory_bytes == host.budget.instances == 0


async def call(pool: InstancePool, function: str, *params: Any) -> Any:
    return await pool.call("lath:test/mischief@1.2.0", function, list(params), context=CONTEXT)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - any state, not an event
            await asyncio.sleep(0.001)


async def test_warm_instances_of_all_components_stay_within_the_budget(host: Host) -> None:
    first, second = host.deploy(warm_instances=2), host.deploy(warm_instances=2)
    await first.start()
    await until(lambda: first.stats.idle == 2 and first._instances.refill is None)
    await second.start()
    await until(lambda: second._instances.refill is None)
    assert (first.stats.idle, second.stats.idle) == (2, 1)
    assert host.budget.memory_bytes == 3 * MIB
    for pool in (first, second):
        assert [await call(pool, "count") for _ in range(10)] == [1] * 10


async def test_without_any_room_calls_run_in_instances_made_for_them(host: Host) -> None:
    full = host.deploy(memory_bytes_max=3 * MIB, warm_instances=1)
    await full.start()
    cold = host.deploy()
    await cold.start()
    assert cold.stats.idle == 0
    assert [await call(cold, "count") for _ in range(3)] == [1] * 3


async def test_what_a_component_gives_up_another_may_have(host: Host) -> None:
    first, second = host.deploy(warm_instances=3), host.deploy(warm_instances=3)
    await first.start()
    await until(lambda: first.stats.idle == 3)
    await second.start()
    assert second.stats.idle == 0
    await first.close()
    await call(second, "count")
    await until(lambda: second.stats.idle == 3)


async def test_reused_instances_beyond_the_budget_are_not_kept(host: Host) -> None:
    pool = host.deploy(reuse=True)
    assert await asyncio.gather(*(call(pool, "work", 10_000_000) for _ in range(6)))
    assert pool.stats.idle == host.budget.instances == 3


async def test_a_trapped_instance_gives_its_part_back(host: Host) -> None:
    pool = host.deploy(reuse=True)
    await call(pool, "count")
    assert host.budget.instances == 1
    with pytest.raises(Exception, match="unreachable"):
        await call(pool, "trap")
    assert host.budget.instances == 0


async def test_a_component_that_cannot_fit_is_refused_naming_both_sizes(host: Host) -> None:
    message = f"c0 does not fit on this host: its memory_bytes_max {4 * MIB} is above .* {3 * MIB}"
    with pytest.raises(InvalidArgument, match=message):
        await host.deploy(memory_bytes_max=4 * MIB).start()
    fits = host.deploy()
    await fits.start()
    with pytest.raises(InvalidArgument, match="does not fit"):
        await fits.scale(Limits(memory_bytes_max=4 * MIB))
    assert await call(fits, "count") == 1


def test_the_number_of_instances_is_bounded_too() -> None:
    budget = WarmBudget(instances_max=2)
    assert [budget.take(1) for _ in range(3)] == [True, True, False]
    budget.give_back(1)
    assert budget.take(1)
