"""How calls fail, wherever caller and callee run: the kind, what it names, and what is left behind."""

from __future__ import annotations

import asyncio

import guests
import pytest
from placed_guests import ECHO, FRONT, counter, risky, swelling, trying

from lath.model import LinkSelector
from lath.provider import Call, Provider, operation
from lath.provider.instance import ProviderInstance
from lath.testing import eventually

from .conftest import Placed

MIDDLE = "test:words/middle@1.0.0"


async def ended(placed: Placed) -> None:
    """Returns once nothing runs in either component."""
    await eventually(lambda: placed.running("front") == placed.running("back") == 0)


async def test_a_trap_of_the_callee_is_the_cause_that_its_callers_caller_reads(placed: Placed) -> None:
    await placed.pair(guests.relay(function="trap"), guests.echo())
    error = await placed.failure("x")
    assert error.kind == "trap" and error.may_have_run and "unreachable" in error.message
    await ended(placed)


@pytest.mark.parametrize("function", ["trap", "grow"])
async def test_after_a_trap_of_the_callee_it_serves_its_other_callers(placed: Placed, function: str) -> None:
    small = {"memory_bytes_max": 16 * 1024 * 1024} if function == "grow" else {}
    await placed.pair(
        guests.relay(function=function), guests.echo(), back_limits=small, unfused=next(iter(small), "")
    )
    placed.only_fused = False
    await placed.start("other", guests.relay(), host=placed.front_host)
    await placed.lattice.link("other", "back", ECHO)
    error = await placed.failure("x")
    assert error.kind == "trap"
    assert await placed.lattice.call("other", FRONT, "say", "x") == "x"
    assert (await placed.failure("x")).kind == "trap"
    await ended(placed)


async def test_a_call_that_never_ends_ends_with_its_deadline(placed: Placed) -> None:
    await placed.pair(guests.relay(function="loop"), guests.echo())
    error = await placed.failure("x", timeout_ms=500)
    assert "deadline_exceeded" in str(error)
    await ended(placed)


async def test_a_trap_of_the_callee_is_told_to_the_caller_unless_they_are_fused(placed: Placed) -> None:
    """The one difference in results: a fused callee takes its caller with it, which so is told nothing."""
    await placed.pair(trying(), risky(), "test:placed/risky@1.0.0")
    assert await placed.say("ok") == "ok"
    assert await placed.say("error") == "error"
    if placed.fuses:
        error = await placed.failure("trap")
        assert error.kind == "trap" and error.may_have_run and "unreachable" in error.message
    else:
        told = await placed.say("trap")
        assert told.startswith("trap: ") and "unreachable" in told
    assert await placed.say("ok") == "ok"


async def test_parameters_above_the_limit_are_refused_unless_they_never_leave_wasm(placed: Placed) -> None:
    await placed.pair(swelling(FRONT, imported=ECHO), counter())
    if placed.fuses:
        assert await placed.say("x", timeout_ms=60_000) == "1"
    else:
        error = await placed.failure("x", timeout_ms=60_000)
        assert error.kind == "trap" and "payload_too_large" in error.message


async def test_a_result_above_the_limit_is_a_limit_exceeded_for_it_has_run(placed: Placed) -> None:
    await placed.pair(guests.relay(), swelling(ECHO))
    error = await placed.failure("x", timeout_ms=60_000)
    assert "limit_exceeded" in str(error) and "payload_bytes_max" in error.message and error.may_have_run
    assert error.kind == ("limit_exceeded" if placed.fuses else "trap")  # whose result it is


async def test_a_callee_past_the_time_limit_of_its_own_ends(placed: Placed) -> None:
    limits = {"timeout_ms": 200}
    await placed.pair(guests.relay(function="loop"), guests.echo(), back_limits=limits, unfused="timeout_ms")
    error = await placed.failure("x", timeout_ms=60_000)
    assert error.kind == "trap" and "deadline_exceeded" in error.message
    await ended(placed)


async def test_a_callee_that_is_full_is_overloaded_or_waits_until_the_deadline(placed: Placed) -> None:
    slow = Slow()
    async with ProviderInstance(slow, placed.lattice.bus, provider_id="slow"):
        await placed.start(
            "back", guests.relay(exported=MIDDLE), host=placed.back_host, count=1, limits={"queue_max": 1}
        )
        await placed.start("front", guests.relay(imported=MIDDLE), host=placed.front_host)
        await placed.lattice.link("back", "slow", ECHO)
        await placed.joined(MIDDLE, unfused="a limit of its own, queue_max")
        first = asyncio.ensure_future(placed.failure("x", timeout_ms=60_000))
        async with asyncio.timeout(20):
            await slow.running.wait()
        waiting = asyncio.ensure_future(placed.failure("x", timeout_ms=60_000))
        back = placed.back_host.services.components.get("back")
        await eventually(lambda: (back.describe().stats or {})["queued"] == 1)
        refused = await placed.failure("x", timeout_ms=60_000)
        assert refused.kind == "trap" and "overloaded" in refused.message
        waiting.cancel()
        await eventually(lambda: (back.describe().stats or {})["queued"] == 0)
        assert "deadline_exceeded" in str(await placed.failure("x", timeout_ms=200))
        first.cancel()
        await asyncio.wait([first, waiting])


async def test_a_function_that_the_callee_lacks_is_named(placed: Placed) -> None:
    await placed.pair(guests.relay(function="sing"), guests.echo(), unfused="sing")
    error = await placed.failure("x")
    assert "not_found" in error.message and "sing" in error.message and "say" in error.message


async def test_a_version_that_the_callee_lacks_is_named_and_so_is_the_one_that_it_has(placed: Placed) -> None:
    await placed.pair(
        guests.relay(imported=ECHO), guests.echo("test:words/echo@2.0.0"), unfused="not a version compatible"
    )
    error = await placed.failure("x")
    assert "not_found" in error.message
    assert "test:words/echo@1.0.0" in error.message and "test:words/echo@2.0.0" in error.message


async def test_a_compatible_version_is_served(placed: Placed) -> None:
    await placed.pair(guests.relay(imported="test:words/echo@1.2.0"), guests.echo("test:words/echo@1.4.1"))
    assert await placed.say("x") == "x"


async def test_a_link_that_was_deleted_is_not_found(placed: Placed) -> None:
    await placed.pair(guests.relay(), guests.echo())
    placed.only_fused = False
    assert await placed.say("x") == "x"
    await placed.lattice.links.delete("front", "test", "words", "default")

    async def refused() -> bool:
        error = await placed.failure("x")
        return "link_not_found" in error.message and "front" in error.message

    await eventually(lambda: not placed.front_host.services.routes._view.links)
    assert await refused()


@pytest.mark.parametrize("side", ["front_host", "back_host"])
async def test_a_link_that_is_held_fails_at_once_until_it_is_pulled(placed: Placed, side: str) -> None:
    await placed.pair(guests.relay(), guests.echo())
    placed.only_fused = False
    assert await placed.say("x") == "x"
    routes = getattr(placed, side).services.routes
    await routes.purge(LinkSelector(), hold=True)
    error = await placed.failure("x", timeout_ms=60_000)
    assert "link_failed" in error.message and "purged" in error.message
    await routes.pull(LinkSelector())
    assert await placed.say("x") == "x"


async def test_a_callee_that_is_stopped_is_unavailable(placed: Placed) -> None:
    await placed.pair(guests.relay(), guests.echo())
    placed.only_fused = False
    assert await placed.say("x") == "x"
    await placed.lattice.start_component("back", guests.echo(), host=placed.back_host, count=0)
    presence = placed.front_host.services.presence
    await eventually(lambda: not presence.instances("back"))
    error = await placed.failure("x", timeout_ms=60_000)
    assert "unavailable" in error.message and "back" in error.message


class Slow(Provider):
    """An operation that lasts until it is cancelled."""

    wit = "package test:words@1.0.0; interface echo { say: func(text: string) -> string; }"

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.cancelled = asyncio.Event()

    @operation("test:words/echo")
    async def say(self, call: Call[None], text: str) -> str:
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return text


async def test_a_caller_that_gives_up_cancels_all_that_it_called(placed: Placed) -> None:
    slow = Slow()
    async with ProviderInstance(slow, placed.lattice.bus, provider_id="slow"):
        await placed.pair(guests.relay(imported=MIDDLE), guests.relay(exported=MIDDLE), MIDDLE)
        await placed.lattice.link("back", "slow", ECHO)
        call = asyncio.ensure_future(placed.say("x", timeout_ms=60_000))
        async with asyncio.timeout(20):
            await slow.running.wait()
        call.cancel()
        async with asyncio.timeout(20):
            await slow.cancelled.wait()
        await ended(placed)
        await asyncio.wait([call])


async def test_a_provider_behind_the_callee_that_fails_says_why(placed: Placed) -> None:
    await placed.pair(guests.relay(imported=MIDDLE), guests.relay(exported=MIDDLE), MIDDLE)
    await placed.lattice.link("back", "nobody", ECHO)
    error = await placed.failure("x", timeout_ms=60_000)
    assert error.kind == "trap" and "unavailable" in error.message and "nobody" in error.message
