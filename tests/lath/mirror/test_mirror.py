"""A mirror holds exactly what its bucket holds, after whatever happened."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from lath import subjects
from lath.bus import BucketKeeper, BucketStore, Bus, ensure_buckets, jetstream
from lath.bus.jetstream import API, JetStreamError
from lath.errors import LathError
from lath.mirror import Change, Mirror
from lath.server import Server
from lath.testing import eventually


@pytest.fixture
async def writer(nats_server: Server, lattice: str, bus: Bus) -> AsyncIterator[Bus]:
    async with await Bus.connect(nats_server.url, lattice=lattice, name="writer") as connection:
        yield connection


async def content(store: BucketStore) -> dict[str, tuple[bytes, int]]:
    return {entry.key: (entry.value, entry.sequence) for entry in await store.list()}


def held(mirror: Mirror) -> dict[str, tuple[bytes, int]]:
    return {key: (entry.value, entry.sequence) for key, entry in mirror.entries.items()}


class Follower:
    """Builds a map from a mirror's changes alone: it must come to the same as the mirror's entries."""

    def __init__(self, mirror: Mirror) -> None:
        self.map: dict[str, tuple[bytes, int]] = {}
        mirror.on_change(self._take)

    def _take(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.old is None:
                assert change.key not in self.map
            else:
                assert self.map[change.key] == (change.old.value, change.old.sequence)
            if change.new is None:
                del self.map[change.key]
            else:
                self.map[change.key] = (change.new.value, change.new.sequence)


@pytest.mark.parametrize("keep_store", [True, False], ids=["with its store", "with an empty store"])
async def test_after_a_restart_of_the_server_the_mirror_holds_what_the_bucket_holds(
    bus: Bus, writer: Bus, nats_server: Server, keep_store: bool
) -> None:
    store = BucketStore(writer, "config")
    async with Mirror(bus, "config") as mirror, BucketKeeper(writer), asyncio.timeout(30):
        follower = Follower(mirror)
        for turn in range(3):
            for i in range(5):
                await store.put(f"k{turn}-{i}", b"x")
            await mirror.wait_until(lambda turn=turn: f"k{turn}-4" in mirror.entries)  # type: ignore[misc]
            await nats_server.stop()
            await eventually(lambda: not mirror.synced)
            await nats_server.restart(keep_store=keep_store)
            await mirror.wait_synced()
            await eventually(lambda: writer.connected)
            assert held(mirror) == await content(store) == follower.map
            assert len(mirror.entries) == (5 * (turn + 1) if keep_store else 0)


@pytest.mark.parametrize("seed", range(4))
async def test_under_concurrent_writes_and_restarts_the_mirror_ends_up_with_the_bucket(
    bus: Bus, writer: Bus, nats_server: Server, seed: int
) -> None:
    chance = random.Random(seed)
    store = BucketStore(writer, "config")
    restarts = 0

    async def write() -> None:
        while restarts < 3 or chance.random() < 0.98:
            key = f"k{chance.randrange(30)}"
            try:
                if chance.random() < 0.3:
                    await store.delete(key)
                else:
                    await store.put(key, str(chance.random()).encode())
            except LathError:
                await asyncio.sleep(0.005)

    async with Mirror(bus, "config") as mirror, BucketKeeper(writer), asyncio.timeout(60):
        follower = Follower(mirror)
        await mirror.wait_synced()
        writing = asyncio.gather(write(), write(), write())
        for _ in range(3):
            before = mirror.generation
            await nats_server.restart(keep_store=chance.random() < 0.5)
            await mirror.wait_until(lambda before=before: mirror.generation > before)  # type: ignore[misc]
            restarts += 1
        await writing
        await eventually(lambda: writer.connected)  # it may have lost its last race with a restart
        expected = await content(store)
        await mirror.wait_until(lambda: held(mirror) == expected)
        assert mirror.synced
        assert follower.map == expected


async def test_several_filters_are_merged_into_one_map(bus: Bus, writer: Bus) -> None:
    store = BucketStore(writer, "links")
    async with Mirror(bus, "links", ("p.>", "*.p.>")) as mirror, asyncio.timeout(10):
        follower = Follower(mirror)
        for key in ("p.x.a", "x.p.a", "p.p.a", "x.y.a"):
            await store.put(key, b"1")
        await mirror.wait_until(lambda: len(mirror.entries) == 3)
        await store.delete("p.p.a")
        await mirror.wait_until(lambda: set(mirror.entries) == {"p.x.a", "x.p.a"})
        await mirror.resync()
        assert set(mirror.entries) == {"p.x.a", "x.p.a"} == set(follower.map)
        await store.put("p.p.a", b"2")
        await mirror.wait_until(lambda: "p.p.a" in mirror.entries)


async def test_ten_thousand_keys_are_mirrored(bus: Bus, writer: Bus) -> None:
    prefix = subjects.key_prefix("links", bus.lattice)
    for i in range(10_000):
        await writer.publish(f"{prefix}a{i}.b.c.d.e", b"x" * 300)
    await writer.flush()
    async with asyncio.timeout(20):
        async with Mirror(bus, "links") as mirror:
            await mirror.wait_until(lambda: mirror.synced and len(mirror.entries) == 10_000)
            assert held(mirror) == await content(BucketStore(writer, "links"))


async def test_a_bucket_that_is_yet_to_be_made_is_waited_for_quietly(
    nats_server: Server, lattice: str, caplog: pytest.LogCaptureFixture
) -> None:
    bus = await Bus.connect(nats_server.url, lattice=lattice, name="early")
    async with bus, Mirror(bus, "links") as mirror, asyncio.timeout(20):
        await eventually(lambda: mirror.error is not None)
        assert not mirror.synced
        await ensure_buckets(bus)
        await mirror.wait_synced()
        assert mirror.error is None
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_a_consumer_that_vanishes_is_noticed_by_its_silence(bus: Bus, writer: Bus) -> None:
    store = BucketStore(writer, "config")
    async with Mirror(bus, "config", heartbeat_ms=200) as mirror, asyncio.timeout(20):
        await mirror.wait_synced()
        assert mirror._watch is not None
        name = mirror._watch._feeds[0].consumer
        await jetstream.call(writer, f"CONSUMER.DELETE.{subjects.stream('config', writer.lattice)}.{name}")
        await store.put("missed", b"1")
        await mirror.wait_until(lambda: "missed" in mirror.entries)
        assert mirror.generation == 2


async def test_a_bucket_made_again_while_connected_is_read_again(bus: Bus, writer: Bus) -> None:
    store = BucketStore(writer, "config")
    async with Mirror(bus, "config", heartbeat_ms=200) as mirror, asyncio.timeout(20):
        for i in range(3):
            await store.put(f"old{i}", b"1")
        await mirror.wait_until(lambda: len(mirror.entries) == 3)
        await jetstream.call(writer, f"STREAM.DELETE.{subjects.stream('config', writer.lattice)}")
        await ensure_buckets(writer)
        await store.put("new", b"1")
        await mirror.wait_until(lambda: set(mirror.entries) == {"new"})


async def test_a_missing_delivery_starts_a_new_snapshot(bus: Bus, writer: Bus) -> None:
    store = BucketStore(writer, "config")
    async with Mirror(bus, "config") as mirror, asyncio.timeout(20):
        await mirror.wait_synced()
        assert mirror._watch is not None
        mirror._watch._feeds[0].count -= 1  # as if one had been dropped on the way
        await store.put("a", b"1")
        await mirror.wait_until(lambda: mirror.generation == 2 and "a" in mirror.entries)


async def test_what_is_aimed_at_the_inbox_is_not_believed(bus: Bus, writer: Bus) -> None:
    store = BucketStore(writer, "config")
    async with Mirror(bus, "config") as mirror, asyncio.timeout(20):
        await mirror.wait_synced()
        assert mirror._watch is not None
        inbox = mirror._watch._feeds[0].inbox
        stream = subjects.stream("config", bus.lattice)
        await writer.publish(inbox, b"lie", reply=f"$JS.ACK.{stream}.other.1.9.1.1.0")
        await writer.publish(inbox, b"lie")
        await store.put("truth", b"1")
        await mirror.wait_until(lambda: "truth" in mirror.entries)
        assert set(mirror.entries) == {"truth"}
        assert mirror.generation == 1


async def test_a_mirror_asks_for_nothing_but_its_consumer(bus: Bus, writer: Bus) -> None:
    asked: list[str] = []

    async def hear(msg: object) -> None:
        asked.append(str(getattr(msg, "subject", "")))

    await writer.subscribe(f"{API}>", hear)
    await writer.flush()
    async with Mirror(bus, "links", ("p.>",)) as mirror, asyncio.timeout(20):
        await mirror.wait_synced()
        await mirror.resync()
        await eventually(lambda: len(asked) == 2)
    assert all(subject.startswith(f"{API}CONSUMER.CREATE.") for subject in asked)


async def test_closing_ends_the_waiters_predicates_and_leaves_no_task(bus: Bus) -> None:
    before = asyncio.all_tasks()
    mirror = Mirror(bus, "links")
    await mirror.start()
    async with asyncio.timeout(10):
        await mirror.wait_synced()
    await mirror.close()
    await mirror.close()
    await eventually(lambda: asyncio.all_tasks() == before)
    assert not mirror.synced
    assert mirror.ever_synced


async def test_existing_buckets_are_brought_to_laths_settings_or_refused(bus: Bus) -> None:
    name = subjects.stream("config", bus.lattice)
    await jetstream.call(bus, f"STREAM.DELETE.{name}")
    await jetstream.call(
        bus,
        f"STREAM.CREATE.{name}",
        {"name": name, "subjects": [f"{subjects.key_prefix('config', bus.lattice)}>"]},
    )
    await asyncio.gather(*(ensure_buckets(bus) for _ in range(10)))
    info = await jetstream.call(bus, f"STREAM.INFO.{name}")
    assert info["config"]["max_consumers"] == 100_000
    assert info["config"]["max_msgs_per_subject"] == 8
    name = subjects.stream("presence", bus.lattice)
    await jetstream.call(bus, f"STREAM.DELETE.{name}")
    key = f"{subjects.key_prefix('presence', bus.lattice)}>"
    await jetstream.call(bus, f"STREAM.CREATE.{name}", {"name": name, "subjects": [key], "storage": "file"})
    with pytest.raises(LathError, match=f"stream {name} cannot be given lath's settings"):
        await ensure_buckets(bus)


async def test_a_thousand_and_one_mirrors_fit(bus: Bus) -> None:
    stream = subjects.stream("links", bus.lattice)
    key = subjects.key_subject("links", bus.lattice, "p.>")

    async def make(i: int) -> int:
        config = jetstream.consumer_config(
            name=f"c{i}", filter_subject=key, inbox=bus.new_inbox(), heartbeat_ms=5000, inactive_ms=5000
        )
        return await jetstream.create_consumer(bus, stream, config)

    try:
        assert sum(await asyncio.gather(*(make(i) for i in range(1001)))) == 0
    except JetStreamError as e:
        pytest.fail(str(e))
