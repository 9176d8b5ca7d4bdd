"""A provider instance on a real bus: it pulls its links, serves link verbs by them, and stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pytest_asyncio import fixture

from lath import subjects
from lath.bus import BucketStore, Bus, ensure_buckets
from lath.codec import Resource
from lath.errors import (
    LinkFailed,
    LinkNotFound,
)
from lath.links import LinkStore
from lath.model import LinkEvent, LinkSelector
from lath.names import InterfaceName
from lath.presence import PresenceView
from lath.provider import Provider, ProviderInstance
from lath.rpc import Caller
from lath.server import Server
from lath.testing import eventually
from lath.testing.keyvalue_contract import STORE
from lath.testing.memory_keyvalue import MemoryKeyValue
from lath.testing.provider import ProviderTest
from lath.verbs import LinkOps

ALL = LinkSelector()
STORE_NAME = InterfaceName("wasi", "keyvalue", "store")


@fixture
async def running(bus: Bus, nats_server: Server) -> AsyncIterator[ProviderTest]:
    async with ProviderTest(bus, MemoryKeyValue(), provider_id="kv", nats_url=nats_server.url) as test:
        yield test


@fixture
async def ops(bus: Bus) -> AsyncIterator[LinkOps]:
    async with PresenceView(bus) as presence:
        await presence.wait_synced()
        operations = LinkOps(bus, presence, LinkStore(bus))
        yield operations
        await operations.close()


def memory(test: ProviderTest) -> MemoryKeyValue:
    assert isinstance(test.provider, MemoryKeyValue)
    return test.provider


# --- pulling links -----------------------------------------------------------------------------------


async def test_links_put_while_the_provider_starts_are_active_afterwards(bus: Bus) -> None:
    async with AsyncExitStack() as stack:
        test = ProviderTest(bus, MemoryKeyValue(), provider_id="kv")

        async def start() -> None:
            await stack.enter_async_context(test)

        async with asyncio.TaskGroup() as group:
            group.create_task(start())
            puts = [group.create_task(test.put(source=f"app-{number}")) for number in range(30)]
        for put in puts:
            assert (await test.settled(put.result())).state == "active"


async def test_links_that_were_put_before_the_provider_started_are_active_once_it_is_ready(bus: Bus) -> None:
    test = ProviderTest(bus, MemoryKeyValue(), provider_id="kv")
    links = [await test.put(source=f"app-{number}") for number in range(5)]
    async with test:
        await test.instance.wait_ready()
        assert [held.state for held in test.instance.held(ALL)] == ["active"] * len(links)


async def test_bad_links_delay_no_other_link_no_ping_and_no_start(bus: Bus, ops: LinkOps) -> None:
    store = BucketStore(bus, "links")
    await store.put(subjects.link_key("vandal", "kv", "wasi", "keyvalue", "default"), b"\xff{not a link")
    test = ProviderTest(bus, MemoryKeyValue(), provider_id="kv")
    hanging = await test.put(source="hangs", config={"hang": "true"})
    failing = await test.put(source="fails", config={"fail": "disk on fire"})
    good = await test.put(source="good")
    async with asyncio.timeout(5), test:
        linked = test.by(good)
        bucket = await linked.call(STORE, "open", "")
        await linked.call(STORE, "[method]bucket.set", bucket, "key", b"1")
        assert (await test.settled(failing)).error == "ConnectionError: disk on fire"
        report = await ops.ping(ALL)
        verdicts = {link.source_id: link.verdict for link in report.links}
        assert verdicts == {"hangs": "degraded", "fails": "failed", "good": "live"}
        assert [orphan.state for orphan in report.orphans] == ["unreadable"]
        assert {held.key: held.state for held in test.instance.held(ALL)}[hanging.key] == "opening"


async def test_a_corrected_config_heals_the_link_without_putting_it_again(running: ProviderTest) -> None:
    link = await running.put(config={"fail": "wrong password"})
    assert (await running.settled(link)).state == "failed"
    await running.configure(link, {"fail": ""})
    await eventually(lambda: [held.state for held in running.instance.held(ALL)] == ["active"])


async def test_two_named_links_to_one_provider_keep_apart_when_one_changes(running: ProviderTest) -> None:
    one = await running.put(name="one", config={"bucket": "a"})
    other = await running.put(name="other", config={"bucket": "b"})
    await running.settled(one)
    await running.settled(other)
    await running.configure(one, {"bucket": "c"})
    changed = await running.current(one)
    await running.settled(changed)
    open_now = {c.link.name: c.config.bucket for c in memory(running).connections}
    assert open_now == {"one": "c", "other": "b"}
    assert memory(running).opened == 3


async def test_a_delete_removes_exactly_the_named_link_in_every_instance(bus: Bus) -> None:
    async with AsyncExitStack() as stack:
        tests = [
            await stack.enter_async_context(ProviderTest(bus, MemoryKeyValue(), provider_id="kv"))
            for _ in range(3)
        ]
        doomed = await tests[0].put(name="doomed")
        kept = await tests[0].put(name="kept")
        for test in tests:
            await test.settled(doomed)
            await test.settled(kept)
        await tests[0].delete(doomed)
        for test in tests:
            await eventually(lambda test=test: [held.key for held in test.instance.held(ALL)] == [kept.key])
            assert [c.link.name for c in memory(test).connections] == ["kept"]


async def test_links_of_a_lost_store_are_let_go_and_new_ones_are_applied(
    bus: Bus, nats_server: Server, running: ProviderTest
) -> None:
    await running.link(name="old")
    await nats_server.restart(keep_store=False)
    await eventually(lambda: bus.connected)
    await ensure_buckets(bus)
    fresh = await running.put(name="fresh")
    assert (await running.settled(fresh)).state == "active"
    await eventually(lambda: [held.key for held in running.instance.held(ALL)] == [fresh.key])
    assert [c.link.name for c in memory(running).connections] == ["fresh"]


async def test_a_call_by_a_link_of_a_new_store_waits_for_it_though_its_sequence_was_seen_in_the_old_one(
    bus: Bus, nats_server: Server, running: ProviderTest
) -> None:
    for name in ("a", "b", "c"):
        await running.link(name=name)
    await nats_server.restart(keep_store=False)
    await eventually(lambda: bus.connected)
    await ensure_buckets(bus)
    fresh = await running.put(name="fresh")
    assert fresh.revision.sequence == 1
    assert isinstance(await running.by(fresh).call(STORE, "open", ""), Resource)


async def test_a_call_by_a_link_that_was_deleted_fails_at_once(running: ProviderTest) -> None:
    linked = await running.link(name="doomed")
    await running.link(name="other")
    await running.delete(linked.link)
    await eventually(lambda: len(running.instance.held(ALL)) == 1)
    async with asyncio.timeout(5):
        with pytest.raises(LinkNotFound):
            await linked.call(STORE, "open", "", timeout_ms=3_600_000)


async def test_a_provider_that_starts_before_any_bucket_exists_finds_its_links_later(
    nats_server: Server, lattice: str
) -> None:
    async with await Bus.connect(nats_server.url, lattice=lattice, name="test") as early:
        test = ProviderTest(early, MemoryKeyValue(), provider_id="kv")
        async with test:
            await ensure_buckets(early)
            linked = await test.link()
            assert isinstance(await linked.call(STORE, "open", ""), Resource)


async def test_states_are_told_as_events(bus: Bus, running: ProviderTest) -> None:
    told: list[LinkEvent] = []

    async def hear(msg: Any) -> None:
        told.append(LinkEvent.model_validate_json(msg.data))

    subscription = await bus.subscribe(subjects.lath_events_pattern(bus.lattice), hear)
    await bus.flush()
    link = await running.put()
    await running.settled(link)
    await running.delete(link)
    await eventually(lambda: told and told[-1].deleted)
    assert "active" in [event.link.state for event in told]
    assert {event.participant for event in told} == {"kv"}
    await subscription.unsubscribe()


# --- verbs -------------------------------------------------------------------------------------------


async def test_after_a_purge_with_hold_nothing_is_left_calls_say_so_at_once_and_pull_restores(
    running: ProviderTest, ops: LinkOps
) -> None:
    one, two = await running.link(name="one"), await running.link(name="two")
    await eventually(lambda: _ping_is_live(ops))
    report = await ops.purge(LinkSelector(name="one"), hold=True)
    assert report.complete
    assert [c.link.name for c in memory(running).connections] == ["two"]
    async with asyncio.timeout(5):
        with pytest.raises(LinkFailed, match="purged"):
            await one.call(STORE, "open", "", timeout_ms=3_600_000)
    assert isinstance(await two.call(STORE, "open", ""), Resource)
    verdicts = {link.name: link.verdict for link in (await ops.ping(ALL)).links}
    assert verdicts == {"one": "purged", "two": "live"}
    assert (await ops.pull(ALL)).complete
    assert isinstance(await one.call(STORE, "open", ""), Resource)
    assert (await ops.ping(ALL)).healthy


async def _ping_is_live(ops: LinkOps) -> bool:
    return (await ops.ping(ALL)).healthy


async def test_a_deep_check_reports_a_backend_that_is_down(running: ProviderTest, ops: LinkOps) -> None:
    await running.link(name="up")
    down = await running.link(name="down", config={"down": "no pulse"})
    with pytest.raises(ConnectionError, match="no pulse"):
        await running.instance.check(down.link.key)
    verdicts = {link.name: link.verdict for link in (await ops.ping(ALL, deep=True)).links}
    assert verdicts == {"up": "live", "down": "failed"}


async def test_values_are_shown_without_their_secrets(running: ProviderTest) -> None:
    config = {"bucket": "b", "password": "hunter2", "url": "redis://me:hunter2@host/0"}
    link = await running.put(config=config)
    await running.settled(link)
    values = running.instance.values(link.key)
    assert values["bucket"] == "b"
    assert "hunter2" not in repr(values)
    assert "host/0" in values["url"]


# --- stopping ----------------------------------------------------------------------------------------


async def test_stopping_one_instance_leaves_the_others_and_loses_no_call(bus: Bus) -> None:
    async with AsyncExitStack() as stack:
        tests = [ProviderTest(bus, MemoryKeyValue(), provider_id="kv") for _ in range(3)]
        for test in tests:
            await stack.enter_async_context(test)
        link = await tests[0].put()
        for test in tests:
            await test.settled(link)
        async with PresenceView(bus) as presence, Caller(bus, presence, "app") as caller:
            await eventually(lambda: len(presence.instances("kv")) == 3)
            tail = subjects.call_tail("app", "default", STORE_NAME, "open")
            stopped = asyncio.Event()

            async def keep_calling() -> int:
                count = 0
                while not (stopped.is_set() and count > 100):
                    await caller.call("kv", tail, b"\x91\xa0", linked=True, revision=link.revision)
                    count += 1
                return count

            async with asyncio.TaskGroup() as group:
                callers = [group.create_task(keep_calling()) for _ in range(4)]
                await tests[1].instance.drain(linger_ms=50)
                await tests[1].instance.close()
                stopped.set()
            assert all(each.result() > 100 for each in callers)
            assert memory(tests[1]).connections == set()
            assert len(presence.instances("kv")) == 2
            assert [len(memory(tests[n]).connections) for n in (0, 2)] == [1, 1]


async def test_a_provider_whose_start_fails_leaves_nothing_behind(bus: Bus) -> None:
    class Broken(Provider):
        async def start(self, config: Any) -> None:
            raise OSError("no disk")

    instance = ProviderInstance(Broken(), bus, provider_id="broken")
    with pytest.raises(OSError, match="no disk"):
        await instance.start()
    await instance.close()
    async with PresenceView(bus) as presence:
        await presence.wait_synced()
        assert presence.instances("broken") == ()
