"""Handles of a component's resources live by a lease: what keeps them, and what is done when it is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from counter_pools import DROPPING, Counters, Witness, released

from lath.codec import ComponentHandle
from lath.errors import NotFound
from lath.testing import eventually
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import

LEASE = 1
"""The shortest lease that there is, in seconds."""


class SilentWitness(Witness):
    """Never answers."""

    async def __call__(self, import_: Import, context: CallContext, params: list[Any]) -> Any:
        await asyncio.Event().wait()


class TestLease:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(warm_instances=0, lease_seconds=LEASE)

    async def test_an_instance_that_nobody_touches_goes_when_its_lease_is_over(
        self, counters: Counters, witness: Witness
    ) -> None:
        counter, _other = await counters("pair", 1000)
        await released(counters)
        assert sorted(witness.dropped) == [(1000, DROPPING), (1001, DROPPING)]
        with pytest.raises(NotFound, match="its lease of 1 s has expired"):
            await counters("get", counter)

    async def test_a_destructor_that_fails_as_the_lease_is_over_ends_the_instance(
        self, counters: Counters, witness: Witness
    ) -> None:
        await counters.new(666)
        await released(counters)

    async def test_calls_and_renewals_keep_it(self, counters: Counters) -> None:
        called, renewed, left = [await counters.new(start) for start in range(3)]
        token = ComponentHandle.parse(renewed.data).token
        while counters.pinned == 3:
            counters.pool.renew([token, b"unknown"])
            await counters("get", called)
            await asyncio.sleep(0.005)
        assert [await counters("get", called), await counters("get", renewed)] == [0, 1]
        with pytest.raises(NotFound):
            await counters("get", left)

    async def test_handles_keep_the_lease_that_they_were_given_and_later_ones_have_a_shorter_one(
        self, counters: Counters
    ) -> None:
        await counters.pool.scale(replace(counters.pool.limits, lease_seconds=600))
        earlier = await counters.new(1)
        await counters.pool.scale(replace(counters.pool.limits, lease_seconds=LEASE))
        later = await counters.new(2)
        await eventually(lambda: counters.pinned == 1)
        assert await counters("get", earlier) == 1
        with pytest.raises(NotFound):
            await counters("get", later)

    async def test_a_call_that_takes_longer_than_the_lease_is_not_disturbed(self, counters: Counters) -> None:
        counter, other = await counters.new(1), await counters.new(2)
        spinning = asyncio.ensure_future(counters("spin", counter))
        await eventually(lambda: counters.pinned == 1)
        assert not spinning.done()
        spinning.cancel()
        await asyncio.gather(spinning, return_exceptions=True)
        with pytest.raises(NotFound):
            await counters("get", other)


class TestDestructorsThatDoNotEnd:
    @pytest.fixture
    def witness(self) -> Witness:
        return SilentWitness()

    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(warm_instances=0, lease_seconds=LEASE, timeout_ms=50)

    @pytest.mark.parametrize("end", ["dropped", "expired"])
    async def test_the_time_limit_of_a_call_ends_the_instance(self, counters: Counters, end: str) -> None:
        counter = await counters.new(1000)
        if end == "dropped":
            counters.release(counter)
        await released(counters)
        with pytest.raises(NotFound):
            await counters("get", counter)


async def test_a_lease_that_is_changed_holds_for_handles_made_from_then_on(counters: Counters) -> None:
    await counters.pool.scale(replace(counters.pool.limits, lease_seconds=7))
    assert ComponentHandle.parse((await counters.new(1)).data).lease_seconds == 7
