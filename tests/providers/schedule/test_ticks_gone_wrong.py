"""What failed, was missed, was interrupted or came late: called again or said, as the link asks."""

from __future__ import annotations

import contextlib

import pytest
from schedule_office import EVERY_MINUTE, HOUR, MINUTE, NOON, Office, minute

from lath.errors import LathError, Unavailable
from lath.model import LinkSelector
from lath.server import Server
from lath.testing import eventually
from lath_providers.schedule import ScheduleConfig
from lath_providers.schedule.ledger import Ledger, Tick
from lath_providers.schedule.times import digest_of


async def test_a_tick_that_failed_is_told_by_the_check_until_the_next_one(office: Office) -> None:
    async with office.instance() as instance:
        link = await office.put(**EVERY_MINUTE)
        await office.record(link, "begun")
        office.clerk.error = "no paper"
        office.clock.set(NOON + MINUTE)
        assert (await office.record(link, "failed")).error == "the component answered: no paper"
        with pytest.raises(Unavailable, match=r"12:01:00\.000Z failed: the component answered: no paper"):
            await instance.check(link.key)
        office.clerk.error = ""
        office.clock.set(NOON + 2 * MINUTE)
        await office.record(link, "done")
        assert await instance.check(link.key) >= 0


@pytest.mark.parametrize(
    ("catch_up", "called"),
    [("none", []), ("last", [minute(10)]), ("all", [minute(number) for number in range(1, 11)])],
)
async def test_ticks_that_no_instance_was_there_for_are_caught_up_with_as_configured(
    office: Office, catch_up: str, called: list[str]
) -> None:
    async with office.instance():
        link = await office.put(**EVERY_MINUTE, catch_up=catch_up)
        await office.record(link, "begun")
    office.clock.set(NOON + 10 * MINUTE + 30_000)
    async with office.instance(), office.instance():
        await office.record(link, "missed" if catch_up == "none" else "done", NOON + 10 * MINUTE)
        await office.called(*called)
        await office.record(link, "done" if called else "missed", NOON + 10 * MINUTE)
        office.clock.set(NOON + 11 * MINUTE)
        await office.called(*called, minute(11))


async def test_missed_ticks_that_are_too_old_are_left(office: Office) -> None:
    async with office.instance():
        link = await office.put(**EVERY_MINUTE, catch_up="all", catch_up_ms=str(3 * MINUTE))
        await office.record(link, "begun")
    office.clock.set(NOON + 10 * MINUTE + 30_000)
    async with office.instance():
        await office.called(*(minute(number) for number in (8, 9, 10)))


@pytest.mark.parametrize(("interrupted", "called"), [("skip", []), ("again", [minute(1)])])
async def test_a_tick_whose_instance_died_during_the_call_is_skipped_or_called_again(
    office: Office, interrupted: str, called: list[str]
) -> None:
    config = {**EVERY_MINUTE, "interrupted": interrupted, "timeout_ms": "1000"}
    async with office.instance() as instance:
        link = await office.put(**config)
        await office.record(link, "begun")
        await instance.purge(LinkSelector(), hold=True)
        dead = Tick(
            schedule=digest_of(ScheduleConfig.model_validate(config)), due_ms=NOON + MINUTE, state="running",
            taker="a killed instance", until_ms=NOON + MINUTE + 6_000,
        )  # fmt: skip
        await office.ledger.write(link.key, dead, (await office.ledger.read(link.key))[1])
        office.clock.set(NOON + MINUTE + 5_000)
        await instance.pull(LinkSelector())
        assert office.clerk.calls == []  # whoever took it may still be calling
        office.clock.set(NOON + MINUTE + 6_000)
        office.clock.set(NOON + MINUTE + 7_000)
        if called:
            await office.called(*called)
            await office.record(link, "done", NOON + MINUTE)
        office.clock.set(NOON + 2 * MINUTE)
        await office.called(*called, minute(2))


async def test_a_purge_during_a_call_notes_that_and_another_instance_goes_on_at_once(office: Office) -> None:
    async with office.instance() as first:
        link = await office.put(**EVERY_MINUTE, interrupted="again")
        await office.record(link, "begun")
        office.clerk.free.clear()
        office.clock.set(NOON + MINUTE)
        await office.called(minute(1))
        await first.purge(LinkSelector(), hold=True)
        await office.record(link, "stopped", NOON + MINUTE)
        office.clerk.free.set()
        async with office.instance():
            await office.called(minute(1), minute(1))


async def test_a_call_that_outlives_its_time_is_noted_all_the_same(office: Office) -> None:
    async with office.instance():
        link = await office.put(**EVERY_MINUTE)
        await office.record(link, "begun")
        office.clerk.free.clear()
        office.clock.set(NOON + MINUTE)
        await office.called(minute(1))
        office.clock.set(NOON + HOUR)  # as where the machine slept meanwhile
        office.clerk.free.set()
        await office.called(minute(1), "2031-03-04T13:00:00.000Z")
        await office.record(link, "done", NOON + HOUR)


async def test_a_call_that_is_not_answered_ends_after_its_time_and_the_next_tick_is_called(
    office: Office,
) -> None:
    async with office.instance():
        link = await office.put(**EVERY_MINUTE, timeout_ms="1000")
        await office.record(link, "begun")
        office.clerk.free.clear()
        office.clock.set(NOON + MINUTE)
        assert "deadline_exceeded" in (await office.record(link, "failed", NOON + MINUTE)).error
        office.clerk.free.set()
        office.clock.set(NOON + 2 * MINUTE)
        await office.called(minute(1), minute(2))


async def test_a_bus_that_was_killed_leaves_no_tick_out(office: Office, nats_server: Server) -> None:
    async with office.instance(), office.instance():
        link = await office.put(**EVERY_MINUTE, catch_up="all")
        await office.record(link, "begun")
        office.clock.set(NOON + MINUTE)
        await office.record(link, "done", NOON + MINUTE)
        await nats_server.kill()
        await nats_server.start()

        async def reached() -> bool:
            with contextlib.suppress(LathError):
                return (await office.ledger.read(link.key))[0] is not None
            return False

        await eventually(reached, 20)
        office.clock.set(NOON + 3 * MINUTE)
        await office.called(minute(1), minute(2), minute(3))
        await office.record(link, "done", NOON + 3 * MINUTE)


@pytest.mark.parametrize(("stood_ms", "left_ms"), [(50_000, 12_500), (70_000, 0)])
async def test_an_instance_that_stood_still_gives_a_call_no_more_than_others_wait_for(
    office: Office, monkeypatch: pytest.MonkeyPatch, stood_ms: int, left_ms: int
) -> None:
    write = Ledger.write

    async def slow(ledger: Ledger, link_key: str, tick: Tick, expected_sequence: int) -> int:
        sequence = await write(ledger, link_key, tick, expected_sequence)
        if tick.state == "running" and tick.due_ms == NOON + MINUTE:
            office.clock.set(NOON + MINUTE + stood_ms)
        return sequence

    monkeypatch.setattr(Ledger, "write", slow)
    async with office.instance():
        link = await office.put(**EVERY_MINUTE, timeout_ms="60000")
        await office.record(link, "begun")
        office.clock.set(NOON + MINUTE)
        if left_ms:
            await office.called(minute(1))
            assert office.clerk.ms_left[0] <= left_ms
        else:
            await office.record(link, "missed", NOON + 2 * MINUTE)
            assert office.clerk.calls == []
