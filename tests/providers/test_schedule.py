"""The schedule calls components on time, once per lattice, and says what it did not call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from pytest_asyncio import fixture

from lath import subjects
from lath.bus import Bus, Credentials, ensure_buckets, jetstream
from lath.bus.permissions import provider_permissions, user
from lath.config import ConfigStore
from lath.errors import InvalidArgument, LathError, Unavailable
from lath.links import LinkStore
from lath.model import HeldLink, Link, LinkSelector, LinkSpec
from lath.provider import Backoff, Call, OpError, Provider, ProviderInstance, operation
from lath.server import Server
from lath.testing import eventually
from lath.testing.process import ProviderProcess
from lath.testing.provider import ProviderTest
from lath_providers.schedule import Schedule, ScheduleConfig, schedule_permissions
from lath_providers.schedule.ledger import Ledger, Tick
from lath_providers.schedule.times import Cron, EveryMs, digest_of, times_of

MINUTE = 60_000
HOUR = 60 * MINUTE


def at(text: str) -> int:
    """A time in milliseconds since 1970."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


NOON = at("2031-03-04T12:00:00+00:00")
EVERY_MINUTE = {"cron": "* * * * *", "payload": "{due}"}


class SetClock:
    """A clock that a test sets."""

    def __init__(self, now: int = NOON + 1) -> None:
        self._now = now
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return self._now

    async def wait_until(self, ms: int) -> None:
        while self._now < ms:
            await self._moved.wait()

    def set(self, now: int) -> None:
        self._now = now
        self._moved.set()
        self._moved = asyncio.Event()


class Clerk(Provider):
    """What is called in place of a component."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ms_left: list[float] = []
        self.error = ""
        self.free = asyncio.Event()
        self.free.set()

    @operation("wasmcloud:cron/scheduler")
    async def invoke(self, call: Call[None], payload: bytes) -> None:
        self.calls.append(payload.decode())
        self.ms_left.append(call.ms_left)
        await self.free.wait()
        if self.error:
            raise OpError(self.error)


class Office:
    """A clerk, a clock, and as many instances of the schedule as a test starts."""

    def __init__(self, bus: Bus, url: str) -> None:
        self.clerk = Clerk()
        self.clock = SetClock()
        self.ledger = Ledger(bus, "clock")
        self._bus = bus
        self._url = url

    @asynccontextmanager
    async def instance(self) -> AsyncIterator[ProviderInstance]:
        """One more of the schedule."""
        backoff = Backoff(first_ms=20, max_ms=200)
        async with ProviderInstance(
            Schedule(self.clock), self._bus, provider_id="clock", nats_url=self._url, backoff=backoff
        ) as instance:
            yield instance

    async def put(self, **config: str) -> Link:
        """A link from the schedule to the clerk."""
        await ConfigStore(self._bus).put("times", config)
        spec = LinkSpec(
            source_id="clock", target="clerk", wit_namespace="wasmcloud", wit_package="cron",
            interfaces=("scheduler",), source_config=("times",),
        )  # fmt: skip
        return await LinkStore(self._bus).put(spec)

    async def record(self, link: Link, state: str, due: int | None = None) -> Tick:
        """Waits until the schedule's record says so."""

        async def there() -> Tick | None:
            tick, _ = await self.ledger.read(link.key)
            assert tick is not None and tick.state == state, tick
            assert due is None or tick.due_ms == due, tick
            return tick

        tick = await eventually(there)
        assert tick is not None
        return tick

    async def called(self, *dues: str) -> None:
        """Waits until the clerk was called so often; then it was with these payloads and no others."""
        await eventually(lambda: len(self.clerk.calls) >= len(dues), what=f"{len(dues)} calls")
        assert self.clerk.calls == list(dues)


@fixture
async def office(bus: Bus, nats_server: Server) -> AsyncIterator[Office]:
    office = Office(bus, nats_server.url)
    await office.ledger.make(1)
    async with ProviderTest(bus, office.clerk, provider_id="clerk"):
        yield office
        office.clerk.free.set()


def minute(number: int) -> str:
    return f"2031-03-04T12:{number:02}:00.000Z"


# --- when ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "due"),
    [
        ("* * * * *", "UTC", "2031-03-04T12:00:00+00:00", "2031-03-04T12:01:00+00:00"),
        ("* * * * *", "UTC", "2031-03-04T12:00:59.999+00:00", "2031-03-04T12:01:00+00:00"),
        ("*/20 * * * * *", "UTC", "2031-03-04T12:00:01+00:00", "2031-03-04T12:00:20+00:00"),
        ("0 9 * * MON-FRI", "UTC", "2031-03-07T09:00:00+00:00", "2031-03-10T09:00:00+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2031-03-05T00:00:00+01:00", "2031-03-05T02:30:00+01:00"),
        ("0 0 29 2 *", "UTC", "2031-03-04T12:00:00+00:00", "2032-02-29T00:00:00+00:00"),
    ],
)
def test_a_cron_expression_is_due_when_cron_says(cron: str, timezone: str, after: str, due: str) -> None:
    times = Cron(cron, timezone)
    assert times.after(at(after)) == at(due)
    assert times.until(at(due)) == at(due)
    assert times.until(at(due) + 999) == at(due)
    assert times.until(at(due) - 1) < at(due)


def test_an_interval_is_due_at_the_same_times_for_every_instance() -> None:
    times = EveryMs(250)
    assert [times.after(0), times.after(249), times.after(250)] == [250, 250, 500]
    assert [times.until(249), times.until(250)] == [0, 250]


@pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "0 0 30 2 *", "every day"])
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    with pytest.raises(InvalidArgument, match="cron"):
        times_of(ScheduleConfig(cron=cron or "x"))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({}, "cron"),
        ({"cron": "* * * * *", "every_ms": "1000"}, "every_ms"),
        ({"every_ms": "5"}, "every_ms"),
        ({"cron": "* * * * *", "timezone": "Europe/Atlantis"}, "timezone"),
        ({"cron": "* * * * *", "timezone": "../../etc/passwd"}, "timezone"),
        ({"cron": "sometimes"}, "cron"),
        ({"cron": "* * * * *", "catch_up": "some"}, "catch_up"),
        ({"cron": "* * * * *", "colour": "blue"}, "colour"),
    ],
)
async def test_a_wrong_value_fails_the_link_naming_the_field(
    office: Office, config: dict[str, str], named: str
) -> None:
    async with office.instance() as instance:
        link = await office.put(**config)
        held = await instance.settled(link.key, link.revision)
        assert held.state == "failed"
        assert named in (held.error or "")


# --- on time, once -------------------------------------------------------------------------------------


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


# --- what went wrong -----------------------------------------------------------------------------------


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


async def test_an_instance_holds_a_thousand_schedules_and_lets_them_all_go(office: Office, bus: Bus) -> None:
    count = 1_000
    await ConfigStore(bus).put("times", EVERY_MINUTE)

    async def put(number: int) -> None:
        await LinkStore(bus).put(
            LinkSpec(
                source_id="clock", target="clerk", name=f"job-{number}", wit_namespace="wasmcloud",
                wit_package="cron", interfaces=("scheduler",), source_config=("times",),
            )
        )  # fmt: skip

    async def begun() -> bool:
        stream = await jetstream.call(bus, f"STREAM.INFO.{subjects.schedule_stream(bus.lattice)}")
        assert stream["state"]["messages"] == count
        return True

    async with office.instance() as instance:
        for first in range(0, count, 100):
            await asyncio.gather(*(put(number) for number in range(first, first + 100)))
        await eventually(begun, 90)
        office.clock.set(NOON + MINUTE)
        await eventually(lambda: len(office.clerk.calls) >= count, 90)
        await instance.purge(LinkSelector(), hold=True)
        assert {each.state for each in instance.held(LinkSelector())} == {"purged"}
        office.clock.set(NOON + 2 * MINUTE)
        assert office.clerk.calls == [minute(1)] * count


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


async def test_draining_finishes_the_call_that_runs_and_takes_no_more(office: Office) -> None:
    async with office.instance() as instance:
        link = await office.put(**EVERY_MINUTE)
        await office.record(link, "begun")
        office.clerk.free.clear()
        office.clock.set(NOON + MINUTE)
        await office.called(minute(1))
        draining = asyncio.ensure_future(instance.drain(linger_ms=0))
        office.clerk.free.set()
        await draining
        assert (await office.record(link, "done")).due_ms == NOON + MINUTE
        office.clock.set(NOON + 2 * MINUTE)
        assert office.clerk.calls == [minute(1)]


# --- credentials, processes ----------------------------------------------------------------------------


def credentials_of(name: str) -> Credentials:
    return Credentials(user=name, password="p", inbox_prefix=subjects.inbox_prefix(name))


async def connect(server: Server, name: str) -> Bus:
    return await Bus.connect(server.url, lattice="private", name=name, credentials=credentials_of(name))


@pytest.mark.parametrize("permissions", [schedule_permissions, provider_permissions])
async def test_it_works_with_the_rights_of_a_schedule_and_says_what_lacks_without(
    permissions: Callable[[str, str], dict[str, object]],
) -> None:
    users = [user("admin", "p"), user("clock", "p", permissions("private", "clock"))]
    async with (
        Server(config={"authorization": {"users": users}}) as server,
        await connect(server, "admin") as admin,
        await connect(server, "clock") as bus,
    ):
        await ensure_buckets(admin)
        office = Office(admin, server.url)
        async with (
            ProviderTest(admin, office.clerk, provider_id="clerk"),
            ProviderInstance(
                Schedule(office.clock), bus, provider_id="clock", nats_url=server.url,
                credentials=credentials_of("clock"),
            ) as instance,
        ):  # fmt: skip
            link = await office.put(**EVERY_MINUTE)
            held: HeldLink = await instance.settled(link.key, link.revision)
            if permissions is provider_permissions:
                assert held.state == "failed" and "lath-schedule-private" in (held.error or "")
                return
            await office.record(link, "begun")
            office.clock.set(NOON + MINUTE)
            await office.called(minute(1))


async def test_when_a_process_is_killed_the_other_one_calls_every_tick(bus: Bus, nats_server: Server) -> None:
    office = Office(bus, nats_server.url)
    module = "lath_providers.schedule"
    async with (
        ProviderTest(bus, office.clerk, provider_id="clerk"),
        ProviderProcess(bus, nats_server.url, module, office.clerk, provider_id="clock") as one,
        ProviderProcess(bus, nats_server.url, module, office.clerk, provider_id="clock"),
    ):
        await office.put(
            every_ms="200", payload="{due}", catch_up="all", interrupted="again", timeout_ms="5000"
        )
        await eventually(lambda: len(office.clerk.calls) >= 4, 20)
        await one.kill()
        there = len(office.clerk.calls)
        await eventually(lambda: len(office.clerk.calls) >= there + 4, 60)
    dues = [at(call) for call in office.clerk.calls]
    assert sorted(set(dues)) == list(range(dues[0], max(dues) + 1, 200))  # none was left out
    assert len(dues) - len(set(dues)) <= 1  # but for the one that may have been interrupted, none came twice
