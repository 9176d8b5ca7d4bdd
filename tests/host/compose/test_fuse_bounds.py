"""What fused parts share: a trap ends all, and time, fuel and limits count for them together."""

from __future__ import annotations

import pytest
from engine_guests import no_imports
from fuse_calls import (
    CONTEXT,
    COUNT,
    FRONT,
    REUSE,
    U32,
    call,
    mischievous,
)

from lath.errors import DeadlineExceeded, LimitExceeded, Trap
from lath.wit.types import Field, Func
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.pool import InstancePool

SPIN = ("spin", Func((), None))
WORK = ("work", Func((Field("n", U32),), U32))


async def test_a_trap_in_the_callee_is_a_trap_of_the_call_and_of_no_other(either: Engine) -> None:
    compiled = await either.compile(mischievous(("trap", Func((), None)), ("count", COUNT)).source)
    async with InstancePool(either, compiled, REUSE, no_imports, name="fused") as pool:
        for _ in range(2):
            assert await pool.call(FRONT, "count", [], context=CONTEXT) == 1
            with pytest.raises(Trap, match="unreachable"):
                await pool.call(FRONT, "trap", [], context=CONTEXT)


async def test_time_is_up_for_a_callee_that_loops(either: Engine) -> None:
    with pytest.raises(DeadlineExceeded):
        await call(either, mischievous(SPIN), [(FRONT, "spin", [])], limits=Limits(timeout_ms=50))


async def test_fuel_is_one_budget_for_all_parts(either: Engine) -> None:
    limits = Limits(fuel_max=100_000)
    assert await call(either, mischievous(WORK), [(FRONT, "work", [100])], limits=limits)
    with pytest.raises(LimitExceeded, match="fuel_max"):
        await call(either, mischievous(WORK), [(FRONT, "work", [1_000_000])], limits=limits)


async def test_memory_is_bounded_in_the_callee_as_in_the_caller(either: Engine) -> None:
    outcome = mischievous(("eat", COUNT))
    (pages,) = await call(either, outcome, [(FRONT, "eat", [])], limits=Limits(memory_bytes_max=8 << 20))
    assert 0 < pages <= 128
