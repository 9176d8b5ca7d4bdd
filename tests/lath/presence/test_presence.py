"""Presence: who is there, who said goodbye, who was heard of no more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from lath import subjects
from lath.bus import BucketKeeper, BucketStore, Bus, ensure_buckets
from lath.bus.jetstream import JetStreamError
from lath.model import Presence
from lath.presence import PresenceAnnouncer, PresenceChange, PresenceView
from lath.server import Server
from lath.testing import eventually

TTL_MS = 1000


def presence(
    target: str = "kv",
    instance: str = "i1",
    *,
    kind: str = "provider",
    name: str = "",
    ttl_ms: int = TTL_MS,
) -> Presence:
    return Presence(
        kind=kind,  # type: ignore[arg-type]
        target=target,
        instance_id=instance,
        host_id="" if kind == "host" else "h1",
        started_ms=1,
        version="0",
        name=name,
        ttl_ms=ttl_ms,
    )


@pytest.fixture
async def other(nats_server: Server, lattice: str, bus: Bus) -> AsyncIterator[Bus]:
    async with await Bus.connect(nats_server.url, lattice=lattice, name="other") as connection:
        yield connection


def announcer(bus: Bus, who: Presence) -> PresenceAnnouncer:
    return PresenceAnnouncer(bus, who)


async def view_of(bus: Bus, seen: list[PresenceChange]) -> PresenceView:
    view = PresenceView(bus, slack_ms=300)
    view.on_change(seen.append)
    await view.start()
    async with asyncio.timeout(10):
        await view.wait_synced()
    return view


async def test_an_instance_is_seen_while_it_renews_and_gone_once_it_withdraws(bus: Bus, other: Bus) -> None:
    seen: list[PresenceChange] = []
    view = await view_of(bus, seen)
    async with announcer(other, presence()) as mine:
        await eventually(lambda: view.instances("kv") == (presence(),))
        assert view.get("kv", "i1") == presence()
        sequence = view._seen["kv.i1"].sequence
        await eventually(lambda: view._seen["kv.i1"].sequence > sequence + 5)  # longer than its TTL
        await mine.update(presence(name="new"))
        await eventually(lambda: view.instances("kv") == (presence(name="new"),))
    await eventually(lambda: view.instances("kv") == ())
    assert [change.reason for change in seen] == ["announced", "announced", "withdrawn"]
    assert view.lost() == ()
    await view.close()


async def test_an_instance_that_vanishes_expires_and_is_remembered_as_lost(bus: Bus, other: Bus) -> None:
    seen: list[PresenceChange] = []
    view = await view_of(bus, seen)
    await announcer(other, presence()).start()
    await eventually(lambda: view.instances("kv"))
    await other.close()
    await eventually(lambda: view.instances("kv") == ())
    assert seen[-1].reason == "expired"
    assert [(lost.target, lost.instance_id, lost.host_id) for lost in view.lost()] == [("kv", "i1", "h1")]
    assert await BucketStore(bus, "presence").get("kv.i1") is None
    async with announcer(bus, presence()):
        await eventually(lambda: view.instances("kv"))
        assert view.lost() == ()
    await view.close()


async def test_each_instance_is_gone_after_the_time_that_it_said_itself(bus: Bus, other: Bus) -> None:
    view = await view_of(bus, [])
    await announcer(other, presence("kv", "long", ttl_ms=60_000)).start()
    await announcer(other, presence("kv", "short")).start()
    await eventually(lambda: len(view.instances("kv")) == 2)
    assert view.longest_ttl_ms() == 60_000
    await other.close()
    await eventually(lambda: view.instances("kv") == (presence("kv", "long", ttl_ms=60_000),))
    await view.close()


@pytest.mark.parametrize("ttl_ms", [0, 999, 1_500, 600_001])
def test_presence_holds_for_whole_seconds_of_ten_minutes_at_most(ttl_ms: int) -> None:
    with pytest.raises(ValueError, match=f"a presence TTL of {ttl_ms} ms is not valid: use whole seconds"):
        presence(ttl_ms=ttl_ms)


async def test_hosts_and_instances_are_told_apart(bus: Bus) -> None:
    view = await view_of(bus, [])
    async with announcer(bus, presence("NHOST", "NHOST", kind="host")), announcer(bus, presence()):
        await eventually(lambda: len(view.all()) == 2)
        assert [p.target for p in view.hosts()] == ["NHOST"]
        assert view.instances("NHOST") == ()
        assert len(view.instances("kv")) == 1
    await view.close()


async def test_a_suspected_instance_is_left_out_until_it_renews(bus: Bus, other: Bus) -> None:
    view = await view_of(bus, [])
    async with announcer(other, presence()):
        await eventually(lambda: view.instances("kv"))
        view.suspect("i1")
        assert view.instances("kv") == ()
        assert len(view.all()) == 1
        await eventually(lambda: view.instances("kv"))
    await view.close()


async def test_nobody_is_judged_within_one_ttl_of_a_reconnect(
    bus: Bus, other: Bus, nats_server: Server
) -> None:
    seen: list[PresenceChange] = []
    view = await view_of(bus, seen)
    async with BucketKeeper(bus), announcer(other, presence("alive", "a")):
        await announcer(bus, presence("dead", "d")).start()
        await eventually(lambda: len(view.all()) == 2)
        await nats_server.stop()
        await eventually(lambda: not bus.connected)
        # Longer than TTL and slack: the server's memory is gone, and nobody could renew.
        await asyncio.to_thread(threading.Event().wait, 1.5)
        assert len(view.all()) == 2
        await nats_server.start()
        await eventually(lambda: bus.connected and other.connected)
        await eventually(lambda: view.synced)
        assert [change.reason for change in seen] == ["announced", "announced"]
        await eventually(lambda: len(view.all()) == 2)
    await view.close()


async def test_presence_waits_for_a_bucket_that_is_yet_to_be_made(nats_server: Server, lattice: str) -> None:
    async with await Bus.connect(nats_server.url, lattice=lattice, name="early") as early:
        mine = announcer(early, presence())
        view = PresenceView(early)
        await mine.start()
        await view.start()
        assert not mine.announced.is_set()
        await ensure_buckets(early)
        await eventually(lambda: view.instances("kv"))
        await mine.close()
        await view.close()


async def test_one_publish_cannot_wipe_presence(bus: Bus) -> None:
    store = BucketStore(bus, "presence")
    await store.put("kv.i1", b"1")
    with pytest.raises(JetStreamError, match="rollup not permitted"):
        await store.put("kv.i2", b"", headers={"Nats-Rollup": "all"})
    assert await store.get("kv.i1") is not None


async def test_an_entry_that_is_malformed_or_another_instances_is_ignored(bus: Bus) -> None:
    view = await view_of(bus, [])
    store = BucketStore(bus, "presence")
    await store.put("kv.bad", b"{")
    await store.put("kv.liar", presence("other", "x").model_dump_json().encode())
    async with announcer(bus, presence()):
        await eventually(lambda: view.instances("kv"))
        assert view.all() == (presence(),)
    assert subjects.presence_key("kv", "i1") == presence().key
    await view.close()
