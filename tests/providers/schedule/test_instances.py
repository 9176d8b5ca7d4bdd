"""Instances of the schedule: with a thousand links, draining, with few rights, and killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from schedule_office import EVERY_MINUTE, MINUTE, NOON, Office, at, minute

from lath import subjects
from lath.bus import Bus, Credentials, ensure_buckets, jetstream
from lath.bus.permissions import provider_permissions, user
from lath.config import ConfigStore
from lath.links import LinkStore
from lath.model import HeldLink, LinkSelector, LinkSpec
from lath.provider import ProviderInstance
from lath.server import Server
from lath.testing import eventually
from lath.testing.process import ProviderProcess
from lath.testing.provider import ProviderTest
from lath_providers.schedule import Schedule, schedule_permissions


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
