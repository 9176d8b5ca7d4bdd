"""Resources that live in a component's own instances: handles across calls, how they end, what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from counter_pools import CONTEXT, DROPPING, Counters, Witness, released
from msgpack import ExtType
from resource_guests import COUNTERS, COUNTERS_NAME

from lath.codec import COMPONENT_RESOURCE, ComponentHandle
from lath.errors import (
    DeadlineExceeded,
    Draining,
    InvalidArgument,
    LathError,
    NotFound,
    Overloaded,
    Trap,
)  # fmt: skip
from lath.testing import eventually
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.pool import InstancePool


async def test_a_resource_lives_across_calls_though_instances_are_fresh(counters: Counters) -> None:
    counter = await counters.new(5)
    assert await counters("add", counter, 3) == 8
    assert await counters("add", counter, 3) == 11
    assert await counters("get", counter) == 11
    assert counters.pinned == counters.pool.stats.running == 1


async def test_the_handle_names_the_component_its_instance_and_the_lease(counters: Counters) -> None:
    handle = await counters.new(1)
    assert handle.code == COMPONENT_RESOURCE
    named = ComponentHandle.parse(handle.data)
    assert (named.component, named.instance, named.lease_seconds) == ("counters", "here", 60)
    assert named.token != ComponentHandle.parse((await counters.new(1)).data).token


async def test_counters_of_two_instances_know_nothing_of_each_other(counters: Counters) -> None:
    one, two = await counters.new(1), await counters.new(2)
    assert counters.pinned == 2
    assert [await counters("get", one), await counters("get", two)] == [1, 2]


async def test_a_dropped_handle_runs_the_destructor_and_releases_the_instance(
    counters: Counters, witness: Witness
) -> None:
    counter = await counters.new(1000)
    counters.release(counter)
    await released(counters)
    assert witness.dropped == [(1000, DROPPING)]


async def test_an_instance_is_released_with_the_last_of_its_handles(
    counters: Counters, witness: Witness
) -> None:
    one, two = await counters("pair", 1000)
    assert counters.pinned == 1
    counters.release(one)
    await eventually(lambda: witness.values == [1000])
    assert await counters("get", two) == 1001
    counters.release(two)
    await released(counters)
    assert witness.values == [1000, 1001]


async def test_a_handle_given_away_is_gone_and_its_destructor_runs_in_the_call(
    counters: Counters, witness: Witness
) -> None:
    counter = await counters.new(1001)
    assert await counters("take", counter) == 1001
    assert witness.values == [1001]
    await released(counters)
    with pytest.raises(NotFound, match=r"the handle of counter of lath:test/counters@1\.0\.0 is not known"):
        await counters("get", counter)


async def test_handles_of_one_instance_may_meet_in_a_call(counters: Counters) -> None:
    one, two = await counters("pair", 10)
    assert await counters("merge", one, two) == 21
    assert await counters("merge", one, one) == 42


async def test_handles_of_two_instances_are_refused_in_one_call(counters: Counters) -> None:
    one, two = await counters.new(1), await counters.new(2)
    with pytest.raises(InvalidArgument, match="must live in one instance of counters; these live in 2"):
        await counters("merge", one, two)
    assert [await counters("get", one), await counters("get", two)] == [1, 2]


async def test_a_resource_made_near_another_lives_in_the_same_instance(counters: Counters) -> None:
    one = await counters.new(1)
    two = await counters.new(2, near=one)
    assert counters.pinned == 1
    assert await counters("merge", one, two) == 3


async def test_a_resource_made_near_one_that_is_gone_lives_somewhere_else(counters: Counters) -> None:
    gone = await counters.new(1)
    counters.release(gone)
    await released(counters)
    assert await counters("get", await counters.new(2, near=gone)) == 2


async def test_calls_of_one_instance_wait_for_each_other(counters: Counters) -> None:
    counter = await counters.new(0)
    await asyncio.gather(*(counters("add", counter, 1) for _ in range(20)))
    assert await counters("get", counter) == 20


async def test_a_call_that_waits_for_its_instance_does_so_until_its_deadline(counters: Counters) -> None:
    counter = await counters.new(0)
    spinning = asyncio.ensure_future(counters("spin", counter))
    await eventually(lambda: counters.pool.stats.calls == 2)
    with pytest.raises(DeadlineExceeded, match="waiting for other calls of the instance"):
        await counters("get", counter, timeout_ms=20)
    spinning.cancel()
    await asyncio.gather(spinning, return_exceptions=True)
    await released(counters)


async def test_what_waits_for_an_instance_that_a_call_has_ended_is_told_that_it_did_not_run(
    counters: Counters,
) -> None:
    counter = await counters.new(0)
    outcomes = await asyncio.gather(
        counters("fail", counter), counters("get", counter), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Trap, NotFound]
    assert not outcomes[1].may_have_run  # type: ignore[union-attr]


async def test_a_trap_ends_the_instance_and_its_handles_and_nothing_else(counters: Counters) -> None:
    one, other = await counters("pair", 1), await counters.new(7)
    with pytest.raises(Trap):
        await counters("fail", one[0])
    with pytest.raises(NotFound, match="is not known to counters: its lease of 60 s has expired, it was"):
        await counters("get", one[1])
    assert await counters("get", other) == 7
    assert counters.pinned == 1


async def test_a_destructor_that_traps_ends_the_instance(counters: Counters) -> None:
    one = await counters.new(666)
    counters.release(one)
    await released(counters)
    assert await counters.plain() == 0


async def test_a_destructor_that_cannot_even_be_called_ends_the_instance(
    counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError

    counter = await counters.new(1)
    monkeypatch.setattr("lath_host.engine.exports.Exports.prepare_drop", broken)
    counters.release(counter)
    await released(counters)


async def test_a_guessed_token_is_refused(counters: Counters) -> None:
    counter = await counters.new(1)
    guessed = ComponentHandle.parse(counter.data)._replace(token=bytes(16)).to_wire()
    with pytest.raises(NotFound):
        await counters("get", guessed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"component": "others"}, "is one of component others, not of counters"),
        ({"instance": "there"}, "lives in instance there of counters, which is gone"),
    ],
)
async def test_a_handle_of_somewhere_else_is_refused_by_name(
    counters: Counters, change: dict[str, str], reason: str
) -> None:
    counter = await counters.new(1)
    elsewhere = ComponentHandle.parse(counter.data)._replace(**change).to_wire()  # type: ignore[arg-type]
    with pytest.raises(NotFound, match=reason):
        await counters("get", elsewhere)


async def test_a_handle_of_another_resource_is_refused_by_name(counters: Counters) -> None:
    other = await counters.pool.call(COUNTERS_NAME, "make-other", [], context=CONTEXT)
    with pytest.raises(InvalidArgument, match="got one of other of lath:test/counters"):
        await counters("get", other)


@pytest.mark.parametrize("value", [ExtType(1, b"abc"), ExtType(2, b"abc"), b"abc", None])
async def test_what_is_no_handle_of_a_component_is_refused(counters: Counters, value: Any) -> None:
    with pytest.raises(InvalidArgument, match="parameter 'self': expected handle of resource counter"):
        await counters("get", value)


class TestReuse:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(reuse=True, max_instances=1)

    async def test_an_instance_serves_others_again_once_its_handles_are_gone(
        self, counters: Counters
    ) -> None:
        counter = await counters.new(3)
        counters.release(counter)
        assert await counters.plain() == 1
        assert counters.pinned == 0


class TestRoom:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(warm_instances=0, max_instances=2)

    async def test_instances_full_of_pins_refuse_others_and_say_why(self, counters: Counters) -> None:
        one, two = await counters.new(1), await counters.new(2)
        with pytest.raises(Overloaded, match=r"all 2 instances \(max_instances\) are pinned by handles"):
            await counters.plain()
        assert await counters("get", one) == 1
        counters.release(two)
        assert await counters.plain() == 0  # waits for the destructor


class TestUnbridged:
    """Without the functions that a bridge adds, an instance goes as a whole with its first dropped handle."""

    @pytest.fixture
    async def counters(self, witness: Witness, limits: Limits, monkeypatch: Any) -> AsyncIterator[Counters]:
        monkeypatch.setattr("lath_host.engine.engine.components_around", lambda *args: iter(()))
        async with Engine(threads=1) as engine:
            compiled = await engine.compile(COUNTERS)
            async with InstancePool(engine, compiled, limits, witness, name="counters") as pool:
                yield Counters(pool)

    async def test_a_dropped_handle_releases_the_instance(self, counters: Counters, witness: Witness) -> None:
        counter = await counters.new(1000)
        assert await counters("label", counter, b"abc") == b"abc"
        counters.release(counter)
        await released(counters)
        assert witness.values == []


async def test_bytes_cross_beside_handles(counters: Counters) -> None:
    counter = await counters.new(1)
    data = bytes(range(256)) * 40
    assert await counters("label", counter, data) == data
    assert await counters("get", counter) == 1 + len(data)


async def test_draining_ends_what_is_pinned(counters: Counters) -> None:
    counter = await counters.new(1)
    await counters.pool.drain()
    assert counters.pinned == 0
    with pytest.raises(Draining):
        await counters("get", counter)


async def test_a_retiring_pool_serves_handles_until_they_are_gone_and_nothing_else(
    counters: Counters,
) -> None:
    counter = await counters.new(1)
    retiring = asyncio.ensure_future(counters.pool.retire())
    await asyncio.sleep(0)
    assert await counters("add", counter, 1) == 2
    with pytest.raises(Draining):
        await counters.new(2)
    assert not retiring.done()
    counters.release(counter)
    await retiring


async def test_a_pool_is_closed_though_handles_are_held_used_and_dropped(
    engine: Engine, witness: Witness
) -> None:
    compiled = await engine.compile(COUNTERS)
    async with InstancePool(engine, compiled, Limits(), witness, name="counters") as pool:
        counters = Counters(pool)
        _held, used, dropped = [await counters.new(start) for start in range(3)]
        spinning = asyncio.ensure_future(counters("spin", used))
        await eventually(lambda: pool.stats.calls == 4)
        counters.release(dropped, used)
    with pytest.raises(LathError):
        await spinning
    assert pool.stats.running == pool.stats.pinned == 0
