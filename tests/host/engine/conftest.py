"""What the engine's tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from counter_pools import DROPPING, Counters, Witness
from resource_guests import COUNTERS

from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.pool import InstancePool


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One engine for the session, as in a host."""
    engine = Engine(threads=2)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def witness() -> Witness:
    """What answers the destructors of `counters`."""
    return Witness()


@pytest.fixture
def limits() -> Limits:
    """Of `counters`; tests take others."""
    return Limits(warm_instances=0)


@pytest.fixture
async def counters(engine: Engine, witness: Witness, limits: Limits) -> AsyncIterator[Counters]:
    """A pool of counters."""
    compiled = await engine.compile(COUNTERS)
    async with InstancePool(
        engine, compiled, limits, witness, name="counters", instance_id="here",
        destructor_context=lambda: DROPPING,
    ) as pool:  # fmt: skip
        yield Counters(pool)
