"""The schedule calls components on time, once per lattice."""

from __future__ import annotations

from schedule_office import EVERY_MINUTE, MINUTE, NOON, Office, minute

from lath.bus import Bus
from lath.links import LinkStore
from lath.model import Link, LinkSelector
from lath.testing import eventually
from lath_providers.schedule import ScheduleConfig
from lath_providers.schedule.times import digest_of


async def test_each_tick_is_called_once_however_many_instances_there_are(office: Office) -> None:
    async with office.instance(), office.instance(), office.instance():
        link = await office.put(**EVERY_MINUTE)
        await office.record(link, "begun")
        for number in range(1, 6):
            office.clock.set(NOON + number * MINUTE)
            await office.called(*(minute(each) for each in range(1, number + 1)))
            await office.record(link, "done", NOON + number * MINUTE)


async def test_nothing_is_called_before_its_time(office: Office) -> None:
    async with office.instance():
        link = await office.put(**EVERY_MINUTE)
        await office.record(link, "begun")
        office.clock.set(NOON + MINUTE - 1)
        await office.put(**EVERY_MINUTE, late_ms="1")  # opened anew, it looks at the clock again
        assert office.clerk.calls == []
        office.clock.set(NOON + MINUTE)
        await office.called(minute(1))


async def test_the_fence_grows_with_each_call(office: Office) -> None:
    async with office.instance():
        link = await office.put(cron="* * * * *", payload='{"fence": {fence}}')
        await office.record(link, "begun")
        for number in (1, 2, 3):
            office.clock.set(NOON + number * MINUTE)
            await office.record(link, "done", NOON + number * MINUTE)
        fences = [int(call.split(":")[1].rstrip("}")) for call in office.clerk.calls]
        assert fences == sorted(set(fences)) and len(fences) == 3


async def test_a_changed_expression_begins_anew_and_a_deleted_link_calls_no_more(
    office: Office, bus: Bus
) -> None:
    async with office.instance() as instance:
        link = await office.put(cron="0 0 * * *", payload="{due}")
        await office.record(link, "begun")
        await office.put(**EVERY_MINUTE)
        await eventually(lambda: _begun(office, link, EVERY_MINUTE))
        office.clock.set(NOON + MINUTE)
        await office.called(minute(1))
        await office.record(link, "done")
        await LinkStore(bus).delete("clock", "wasmcloud", "cron", "default")
        await eventually(lambda: not instance.held(LinkSelector()))
        office.clock.set(NOON + 5 * MINUTE)
        assert office.clerk.calls == [minute(1)]


async def _begun(office: Office, link: Link, config: dict[str, str]) -> bool:
    tick, _ = await office.ledger.read(link.key)
    return tick is not None and tick.schedule == digest_of(ScheduleConfig.model_validate(config))


async def test_a_call_that_takes_long_is_not_overtaken(office: Office) -> None:
    async with office.instance(), office.instance():
        link = await office.put(**EVERY_MINUTE)
        await office.record(link, "begun")
        office.clerk.free.clear()
        office.clock.set(NOON + MINUTE)
        await office.called(minute(1))
        office.clock.set(NOON + 2 * MINUTE)
        await office.record(link, "running", NOON + MINUTE)
        assert office.clerk.calls == [minute(1)]
        office.clerk.free.set()
        office.clock.set(NOON + 2 * MINUTE + 2_000)
        await office.called(minute(1), minute(2))
