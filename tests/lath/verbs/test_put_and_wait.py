"""A put that waits returns when the link is applied by all who should, or says who could not and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from frozen import freeze
from link_lattice import LinkLattice, link_lattice, spec
from link_participants import MemoryHolder

from lath.config import ConfigStore
from lath.errors import Conflict, DeadlineExceeded, LinkFailed
from lath.model import LinkReport
from lath.server import Server
from lath.testing import eventually

LONG_MS = 30_000


@pytest.fixture
async def lat(shared_nats_server: Server, lattice: str) -> AsyncIterator[LinkLattice]:
    async with asyncio.timeout(60), link_lattice(shared_nats_server.url, lattice) as made:
        yield made


def states(report: LinkReport) -> dict[str, str]:
    return {view.instance_id: view.state for view in report.participants}


async def held(holder: MemoryHolder) -> None:
    await eventually(lambda: holder.links)


async def test_it_returns_when_every_participant_has_applied_the_revision(lat: LinkLattice) -> None:
    members = [await lat.member("provider", "kv", instance=f"p{index}") for index in range(3)]
    members.append(await lat.member("host", "h1", serves=["app"]))
    report = await lat.ops.put_and_wait(spec("app", "kv"), LONG_MS)
    assert report.verdict == "live"
    assert states(report) == {"p0": "active", "p1": "active", "p2": "active", "h1": "active"}
    for member in members:
        assert [link.revision for link in member.holder.links.values()] == [report.revision]


async def test_putting_again_waits_for_the_new_revision(lat: LinkLattice) -> None:
    await lat.member("provider", "kv", instance="p1")
    first = await lat.ops.put_and_wait(spec("app", "kv"), LONG_MS)
    second = await lat.ops.put_and_wait(spec("app", "kv"), LONG_MS)
    assert second.revision > first.revision
    assert second.participants[0].revision == second.revision


async def test_who_appears_meanwhile_is_waited_for_too(lat: LinkLattice) -> None:
    slow = MemoryHolder("provider", "kv", instance_id="slow")
    slow.slow.add("default")
    await lat.join(slow)
    async with asyncio.TaskGroup() as group:
        put = group.create_task(lat.ops.put_and_wait(spec("app", "kv"), LONG_MS))
        await held(slow)
        late = MemoryHolder("provider", "kv", instance_id="late")
        late.slow.add("default")
        await lat.join(late)
        await held(late)
        (link,) = (await lat.store.list()).links.values()
        await slow.hold(link, "active")
        assert (await lat.ops.ping()).links[0].verdict == "degraded"
        assert not put.done()
        await late.hold(link, "active")
    assert states(put.result()) == {"slow": "active", "late": "active"}


async def test_a_provider_that_starts_after_the_put_is_waited_for(lat: LinkLattice) -> None:
    async with asyncio.TaskGroup() as group:
        put = group.create_task(lat.ops.put_and_wait(spec("app", "kv"), LONG_MS))
        await eventually(lambda: _stored(lat))
        assert not put.done()
        await lat.member("provider", "kv", instance="p1")
    assert put.result().verdict == "live"


async def _stored(lat: LinkLattice) -> bool:
    return bool((await lat.store.list()).links)


async def test_it_fails_at_once_with_the_reason_of_the_one_that_could_not(lat: LinkLattice) -> None:
    await lat.member("provider", "kv", instance="good")
    bad = MemoryHolder("provider", "kv", instance_id="bad")
    bad.fail["default"] = "connection refused"
    await lat.join(bad)
    with pytest.raises(LinkFailed, match=r"kv/bad could not apply link .*: connection refused"):
        await lat.ops.put_and_wait(spec("app", "kv"), LONG_MS)


async def test_a_link_that_is_held_purged_fails_saying_so(lat: LinkLattice) -> None:
    member = await lat.member("provider", "kv", follow=False)
    link = await lat.put("app", "kv")
    await member.holder.hold(link, "purged")
    with pytest.raises(LinkFailed, match="purged: pull it first"):
        await lat.ops.await_applied(link, LONG_MS)


async def test_with_nobody_to_wait_for_it_ends_as_unserved(lat: LinkLattice) -> None:
    await lat.member("host", "h1", serves=["app"])
    report = await lat.ops.put_and_wait(spec("app", "kv"), 300)
    assert report.verdict == "unserved"
    assert states(report) == {"h1": "active"}


async def test_who_is_still_opening_at_the_deadline_is_named(lat: LinkLattice) -> None:
    await lat.member("provider", "kv", instance="quick")
    slow = MemoryHolder("provider", "kv", instance_id="slow")
    slow.slow.add("default")
    await lat.join(slow)
    with pytest.raises(DeadlineExceeded, match=r"within 500 ms by kv/slow: opening$"):
        await lat.ops.put_and_wait(spec("app", "kv"), 500)


async def test_a_frozen_participant_is_named_at_the_deadline(lat: LinkLattice) -> None:
    process = await lat.process("provider", "kv", "frozen")
    await lat.member("provider", "kv", instance="good")
    await lat.seen("frozen")
    await freeze(process.pid)
    with pytest.raises(DeadlineExceeded, match=r"by kv/frozen: no answer$"):
        await lat.ops.put_and_wait(spec("app", "kv"), 500)


async def test_a_participant_that_leaves_is_no_longer_waited_for(lat: LinkLattice) -> None:
    await lat.member("provider", "kv", instance="stays")
    slow = MemoryHolder("provider", "kv", instance_id="leaves")
    slow.slow.add("default")
    leaving = await lat.join(slow)
    async with asyncio.TaskGroup() as group:
        put = group.create_task(lat.ops.put_and_wait(spec("app", "kv"), LONG_MS))
        await held(slow)
        assert not put.done()
        await leaving.leave()
    assert states(put.result()) == {"stays": "active"}


async def slow_member(lat: LinkLattice) -> MemoryHolder:
    slow = MemoryHolder("provider", "kv", instance_id="slow")
    slow.slow.add("default")
    await lat.join(slow)
    return slow


async def test_a_link_deleted_meanwhile_is_a_conflict(lat: LinkLattice) -> None:
    slow = await slow_member(lat)
    with pytest.raises(Conflict, match="deleted"):  # noqa: PT012
        async with asyncio.timeout(20):
            put = asyncio.ensure_future(lat.ops.put_and_wait(spec("app", "kv"), LONG_MS))
            await held(slow)
            await lat.store.delete("app", "wasi", "keyvalue", "default")
            await put


async def test_a_link_deleted_before_the_wait_is_a_conflict(lat: LinkLattice) -> None:
    await slow_member(lat)
    link = await lat.put("app", "kv")
    await lat.store.delete("app", "wasi", "keyvalue", "default")
    with pytest.raises(Conflict, match="deleted"):
        await lat.ops.await_applied(link, LONG_MS)


async def test_a_link_replaced_meanwhile_is_a_conflict(lat: LinkLattice) -> None:
    slow = await slow_member(lat)
    with pytest.raises(Conflict, match="replaced"):  # noqa: PT012
        async with asyncio.timeout(20):
            put = asyncio.ensure_future(lat.ops.put_and_wait(spec("app", "kv"), LONG_MS))
            await held(slow)
            await lat.store.put(spec("app", "kv").model_copy(update={"interfaces": ("store", "atomics")}))
            await put


async def test_a_link_whose_config_changed_meanwhile_is_waited_for_at_its_new_revision(
    lat: LinkLattice,
) -> None:
    configs = ConfigStore(lat.bus)
    await configs.put("redis", {"url": "a"})
    slow = await slow_member(lat)
    async with asyncio.TaskGroup() as group:
        put = group.create_task(lat.ops.put_and_wait(spec("app", "kv", config=["redis"]), LONG_MS))
        await held(slow)
        await configs.put("redis", {"url": "b"})
        (now,) = (await lat.store.list()).links.values()
        slow.slow.clear()
        await slow.hold(now)
    assert put.result().revision == now.revision


async def test_a_cancelled_wait_leaves_nothing_behind(lat: LinkLattice) -> None:
    slow = await slow_member(lat)
    before = asyncio.all_tasks()
    put = asyncio.ensure_future(lat.ops.put_and_wait(spec("app", "kv"), LONG_MS))
    await held(slow)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    await eventually(lambda: not {t for t in asyncio.all_tasks() - before if "link" in t.get_name()})
