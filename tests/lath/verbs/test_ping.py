"""Link ping over a real bus: KV, providers and hosts asked, joined and judged."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from frozen import freeze
from link_lattice import LinkLattice, link_lattice
from link_participants import MemoryHolder

from lath import subjects
from lath.bus import BucketStore, Bus, ensure_buckets
from lath.errors import InvalidArgument, NotConnected
from lath.model import Link, LinkSelector, LostParticipant, PingReport, Revision
from lath.server import Server
from lath.testing import eventually

QUICK_MS = 600
"""For pings that must run into their time-out."""


@pytest.fixture
async def lat(shared_nats_server: Server, lattice: str) -> AsyncIterator[LinkLattice]:
    async with asyncio.timeout(60), link_lattice(shared_nats_server.url, lattice) as made:
        yield made


def verdicts(report: PingReport) -> dict[str, str]:
    return {link.name: link.verdict for link in report.links}


def states(report: PingReport, name: str) -> dict[str, str]:
    link = next(link for link in report.links if link.name == name)
    return {view.instance_id: view.state for view in link.participants}


async def test_all_that_is_linked_and_applied_is_live(lat: LinkLattice) -> None:
    await lat.put("app", "kv")
    await lat.put("app", "blob", "second")
    for id in ("kv", "kv", "blob"):
        await lat.member("provider", id)
    await lat.member("host", "h1", serves=["app"])
    await eventually_healthy(lat)
    report = await lat.ops.ping()
    assert verdicts(report) == {"default": "live", "second": "live"}
    assert len(report.expected) == 4 and report.expected == report.answered
    assert set(report.names.values()) >= {"h1"}
    assert [len(link.participants) for link in report.links] == [2, 3]


async def eventually_healthy(lat: LinkLattice) -> None:
    async def healthy() -> bool:
        return (await lat.ops.ping()).healthy

    await eventually(healthy, timeout_s=30)


async def test_participants_made_to_disagree_by_hand_are_told_apart(lat: LinkLattice) -> None:
    p1 = (await lat.member("provider", "kv", instance="p1", follow=False)).holder
    p2 = (await lat.member("provider", "kv", instance="p2", follow=False)).holder
    h1 = (await lat.member("host", "h1", serves=["app"], follow=False)).holder
    names = ("live", "failed", "stale", "purged", "opening", "missing", "no-route")
    links = {name: await lat.put("app", "kv", name) for name in names}
    await lat.put("app", "nobody", "unserved")
    for holder in (p1, p2, h1):
        for link in links.values():
            await holder.hold(link)
    await p2.hold(links["failed"], "failed", "connection refused")
    old = Revision(incarnation=links["stale"].revision.incarnation, sequence=1)
    await p2.hold(links["stale"].model_copy(update={"revision": old}))
    await p2.hold(links["purged"], "purged")
    await p2.hold(links["opening"], "opening")
    await p2.drop(links["missing"].key)
    await h1.drop(links["no-route"].key)

    report = await lat.ops.ping()

    assert verdicts(report) == {
        "live": "live", "failed": "failed", "stale": "stale", "purged": "purged", "opening": "degraded",
        "missing": "degraded", "no-route": "degraded", "unserved": "unserved",
    }  # fmt: skip
    assert states(report, "failed") == {"p1": "active", "p2": "failed", "h1": "active"}
    assert states(report, "missing") == {"p1": "active", "p2": "missing", "h1": "active"}
    assert states(report, "no-route") == {"p1": "active", "p2": "active", "h1": "missing"}
    assert next(link for link in report.links if link.name == "failed").reason == "connection refused"
    assert not report.healthy


async def test_a_deleted_link_that_a_provider_still_holds_is_an_orphan(lat: LinkLattice) -> None:
    holder = (await lat.member("provider", "kv", instance="p1", follow=False)).holder
    await holder.hold(await lat.put("app", "kv"))
    assert await lat.store.delete("app", "wasi", "keyvalue", "default") is not None
    for selector in (LinkSelector(), LinkSelector(source_id="app"), LinkSelector(participant="kv")):
        report = await lat.ops.ping(selector)
        assert report.links == ()
        assert [(o.key, o.participant, o.state) for o in report.orphans] == [
            ("app.kv.wasi.keyvalue.default", "kv", "active")
        ]


async def test_a_stored_value_that_is_no_link_is_reported_and_breaks_nothing(lat: LinkLattice) -> None:
    await lat.member("provider", "kv")
    await lat.put("app", "kv")
    key = subjects.key_subject("links", lat.bus.lattice, "app.kv.wasi.keyvalue.broken")
    await lat.bus.request(key, b"{not json", timeout_ms=5_000)

    async def applied() -> bool:
        return verdicts(await lat.ops.ping()) == {"default": "live"}

    await eventually(applied)
    report = await lat.ops.ping()
    assert [(o.key, o.kind, o.state) for o in report.orphans] == [
        ("app.kv.wasi.keyvalue.broken", "kv", "unreadable")
    ]
    assert (await lat.ops.ping(LinkSelector(participant="blob"))).orphans == ()


async def test_a_selector_asks_about_its_links_only(lat: LinkLattice) -> None:
    for target in ("kv", "blob"):
        holder = (await lat.member("provider", target, follow=False)).holder
        await holder.hold(await lat.put("app", target, target))
    report = await lat.ops.ping(LinkSelector(target="kv"))
    assert verdicts(report) == {"kv": "live"}
    assert len(report.expected) == 1


async def test_a_selector_that_names_no_possible_link_is_refused(lat: LinkLattice) -> None:
    with pytest.raises(InvalidArgument, match=r"source\.target\.namespace\.package\.name"):
        await lat.ops.ping(LinkSelector(key="app.>"))


async def test_ten_thousand_links_on_one_instance_are_judged_one_by_one(lat: LinkLattice) -> None:
    holder = (await lat.member("provider", "kv", instance="p1", follow=False)).holder
    incarnation = (await lat.put("app", "kv", "first")).incarnation
    prefix = subjects.key_prefix("links", lat.bus.lattice)
    stored = await lat.store.get("app.kv.wasi.keyvalue.first")
    assert stored is not None
    for index in range(10_000):
        value = stored.model_copy(update={"name": f"n{index}"})
        await lat.bus.publish(prefix + value.key, value.model_dump_json(exclude={"revision"}).encode())
    await lat.bus.flush()

    async def all_there() -> dict[str, Link] | None:
        links = (await lat.store.list()).links
        return links if len(links) == 10_001 else None

    links = await eventually(all_there, timeout_s=30)
    for link in links.values():
        await holder.hold(link)
    report = await lat.ops.ping()
    assert report.healthy
    assert len(report.links) == 10_001

    stale, missing = "app.kv.wasi.keyvalue.n77", "app.kv.wasi.keyvalue.n9999"
    old = Revision(incarnation=incarnation, sequence=1)
    await holder.hold(links[stale].model_copy(update={"revision": old}))
    await holder.drop(missing)
    report = await lat.ops.ping()
    assert {link.name: link.verdict for link in report.links if link.verdict != "live"} == {
        "n77": "stale",
        "n9999": "degraded",
    }
    assert len(report.links) == 10_001


async def test_links_that_change_during_a_ping_are_looked_at_again_before_they_are_judged(
    lat: LinkLattice,
) -> None:
    await lat.member("provider", "kv")
    await lat.member("host", "h1", serves=["app"])
    stop = asyncio.Event()

    async def churn() -> None:
        count = 0
        while not stop.is_set():
            name = f"n{count % 5}"
            await lat.put("app", "kv", name)
            if count % 3 == 0:
                await lat.store.delete("app", "wasi", "keyvalue", name)
            count += 1

    async with asyncio.TaskGroup() as group:
        churning = group.create_task(churn())
        for _ in range(20):
            report = await lat.ops.ping()
            assert report.silent == ()
            assert set(verdicts(report).values()) <= {"live", "degraded", "stale"}
            assert not churning.done()
        stop.set()
    await eventually_healthy(lat)


async def test_vping_tells_the_values_and_ping_does_not(lat: LinkLattice) -> None:
    holder = (await lat.member("provider", "kv", follow=False)).holder
    link = (await lat.put("app", "kv")).model_copy(update={"target_config_values": {"url": "redis://x"}})
    await holder.hold(link)
    assert (await lat.ops.ping()).links[0].participants[0].values is None
    assert (await lat.ops.vping()).links[0].participants[0].values == {"url": "redis://x"}


async def test_a_deep_ping_tells_round_trips_and_backends_that_are_down(lat: LinkLattice) -> None:
    holder = (await lat.member("provider", "kv", follow=False)).holder
    await holder.hold(await lat.put("app", "kv", "up"))
    down = await lat.put("app", "kv", "down")
    await holder.hold(down)
    holder.check_errors[down.key] = RuntimeError("backend is down")
    report = await lat.ops.ping(deep=True)
    assert verdicts(report) == {"up": "live", "down": "failed"}
    links = {link.name: link for link in report.links}
    assert links["up"].participants[0].check_ms == 0.25
    assert "backend is down" in links["down"].reason


# --- who should answer --------------------------------------------------------------------------------


async def test_a_participant_that_is_there_and_gives_no_answer_is_named(lat: LinkLattice) -> None:
    for instance in ("p1", "p2"):
        holder = (await lat.member("provider", "kv", instance=instance)).holder
        await holder.hold(await lat.put("app", "kv"))
    silent = await lat.member("provider", "kv", instance="p3")
    await silent.server.close()
    report = await lat.ops.ping(timeout_ms=QUICK_MS)
    assert report.silent == ("p3",)
    assert report.expected == ("p1", "p2", "p3")
    assert report.names["p3"] == "kv/p3"
    assert verdicts(report) == {"default": "silent"}


async def test_a_participant_that_says_goodbye_during_the_ping_is_not_silent(lat: LinkLattice) -> None:
    await lat.put("app", "kv")
    await lat.member("provider", "kv", instance="p1")
    leaving = await lat.member("provider", "kv", instance="p2")
    await leaving.server.close()
    async with asyncio.TaskGroup() as group:
        ping = group.create_task(lat.ops.ping(timeout_ms=5_000))
        await leaving.leave()
    assert ping.result().silent == ()
    assert ping.result().expected == ("p1",)


async def test_an_instance_that_a_host_lost_and_replaced_is_not_silent_and_one_it_counts_on_is(
    lat: LinkLattice,
) -> None:
    def one(instance: str) -> LostParticipant:
        return LostParticipant(
            target="kv", instance_id=instance, kind="provider", host_id="h1", lost_ago_ms=0
        )

    h1 = (await lat.member("host", "h1", serves=["app"])).holder
    await lat.member("provider", "kv", instance="new", host="h1")
    h1.supervised = (one("new"),)
    h1.gone = lambda: (one("old"),)
    report = await lat.ops.ping(timeout_ms=QUICK_MS)
    assert (report.expected, report.silent) == (("h1", "new"), ())
    h1.supervised = (one("new"), one("old"))
    report = await lat.ops.ping(timeout_ms=QUICK_MS)
    assert (report.expected, report.silent) == (("h1", "new", "old"), ("old",))


async def test_a_holder_that_cannot_say_what_it_holds_is_silent_with_its_reason(lat: LinkLattice) -> None:
    class Broken(MemoryHolder):
        def held(self, selector: LinkSelector) -> list[object]:  # type: ignore[override]
            raise ZeroDivisionError("oops")

    await lat.put("app", "kv")
    await lat.join(Broken("provider", "kv", instance_id="p1"))
    report = await lat.ops.ping()
    assert report.silent == ("p1",)
    assert "oops" in report.links[0].reason


async def test_without_a_connection_a_ping_says_so(lat: LinkLattice, shared_nats_server: Server) -> None:
    async with Server() as other, link_lattice(other.url, lat.bus.lattice) as gone:
        await other.stop()
        await eventually(lambda: not gone.bus.connected)
        with pytest.raises(NotConnected):
            await gone.ops.ping()
        with pytest.raises(NotConnected):
            await gone.ops.purge()


async def test_nobody_is_judged_within_one_ttl_of_a_reconnect(nats_server: Server, lattice: str) -> None:
    async with asyncio.timeout(60), link_lattice(nats_server.url, lattice, ttl_ms=4_000) as lat:
        await lat.put("app", "kv")
        await lat.member("provider", "kv", instance="p1")
        silent = await lat.member("provider", "kv", instance="p2")
        await eventually_healthy(lat)
        again = asyncio.Event()
        lat.bus.on_reconnect(again.set)
        await nats_server.restart(keep_store=True)
        await again.wait()
        await ensure_buckets(lat.bus)  # as every host does: presence is kept in memory
        await silent.server.close()
        await eventually(lambda: lat.view.get("kv", "p2") is not None)
        report = await lat.ops.ping(timeout_ms=QUICK_MS)
        assert report.settling
        assert report.silent == ()
        assert not report.healthy
        assert set(verdicts(report).values()) <= {"degraded", "live"}

        async def judged() -> bool:
            return (await lat.ops.ping(timeout_ms=QUICK_MS)).silent == ("p2",)

        await eventually(judged, timeout_s=20)


async def test_a_newcomer_judges_nobody_just_after_the_server_forgot_who_is_there(
    nats_server: Server, lattice: str
) -> None:
    async with asyncio.timeout(60), link_lattice(nats_server.url, lattice, ttl_ms=2_000) as lat:
        await lat.put("app", "kv")
        await lat.member("provider", "kv", instance="p1")
        await eventually_healthy(lat)
        links = BucketStore(lat.bus, "links")

        async def old_enough() -> bool:
            return await links.age_s() > 1.5

        await eventually(old_enough)
        again = asyncio.Event()
        lat.bus.on_reconnect(again.set)
        await nats_server.restart(keep_store=True)
        await again.wait()
        await ensure_buckets(lat.bus)
        async with link_lattice(nats_server.url, lattice, ttl_ms=2_000) as newcomer:
            report = await newcomer.ops.ping(timeout_ms=QUICK_MS)
        assert report.settling
        assert report.silent == ()
        assert "unserved" not in verdicts(report).values()


@pytest.mark.timeout(60)
async def test_frozen_participants_are_named_while_present_and_after_their_presence_expired(
    nats_server: Server, lattice: str
) -> None:
    async with link_lattice(nats_server.url, lattice, ttl_ms=3_000) as lat:
        await lat.put("app", "kv")
        host = lat.process("host", "h1", "", "app")
        providers = [lat.process("provider", "kv", f"p{index:02}") for index in range(11)]
        processes = await asyncio.gather(host, *providers)
        names = ["h1", *(f"p{index:02}" for index in range(11))]
        await lat.seen(*names)
        await eventually_healthy(lat)
        frozen = ("p02", "p05", "p09")
        await freeze(*(processes[names.index(name)].pid for name in frozen))
        report = await lat.ops.ping(timeout_ms=1_000)
        assert report.silent == frozen
        assert verdicts(report) == {"default": "silent"}

        present = lambda: {entry.instance_id for entry in lat.view.all()}  # noqa: E731
        await eventually(lambda: not present() & set(frozen), timeout_s=20)
        report = await lat.ops.ping(timeout_ms=1_000)
        assert report.silent == frozen

        # An asker that was not there when they were lost learns it from the host.
        async with link_lattice(nats_server.url, lattice, ttl_ms=3_000) as newcomer:
            await newcomer.seen("h1")

            async def named() -> bool:
                return (await newcomer.ops.ping(timeout_ms=1_000)).silent == frozen

            await eventually(named)

        for name in frozen:
            processes[names.index(name)].send_signal(signal.SIGCONT)
        await eventually_healthy(lat)


async def test_a_fresh_connection_to_a_bus_that_is_well_judges_at_once(
    lat: LinkLattice, shared_nats_server: Server
) -> None:
    member = await lat.member("provider", "kv", instance="p1")
    await member.server.close()
    async with await Bus.connect(shared_nats_server.url, lattice=lat.bus.lattice, name="other"):
        assert (await lat.ops.ping(timeout_ms=QUICK_MS)).silent == ("p1",)
