"""Must hold 6: a ping over many processes is complete, ends with the last answer, and names who is frozen."""

from __future__ import annotations

import asyncio
import signal

import guests
import pytest
from frozen import freeze
from whole_lattice import WholeLattice, link_spec

from lath import subjects
from lath.bus import BucketStore
from lath.model import LinkSelector, StoredLink
from lath.testing import eventually
from lath_control.client import Client

KV = "wasi:keyvalue/store"
LINKS_EACH = 20
SHORT_MS = 5_000
"""How long the presence of those holds that are frozen."""
NEVER_MS = 100_000
"""A time-out that the test's own would end first: whoever waited for it would fail."""


@pytest.mark.timeout(120)
async def test_fifty_instances_are_asked_and_exactly_the_three_frozen_ones_are_named(
    one_host: WholeLattice,
) -> None:
    """Real providers in processes, three of them alone in theirs; each has 20 links."""
    lattice, client = one_host, one_host.client
    ids = [f"kv-{i}" for i in range(50)]
    await asyncio.gather(
        *(
            client.links.put(link_spec(f"app-{link}", id, KV, name=f"n{number}"))
            for number, id in enumerate(ids)
            for link in range(LINKS_EACH)
        )
    )
    lonely = await asyncio.gather(*(lattice.crowd([id], presence_ttl_ms=SHORT_MS) for id in ids[:3]))
    await asyncio.gather(lattice.crowd(ids[3:27]), lattice.crowd(ids[27:]))
    await eventually(lambda: len(client.presence.all()) == 51)
    await eventually(lambda: _healthy(client), 30)
    async with asyncio.timeout(NEVER_MS / 2_000):
        report = await client.links.ping(timeout_ms=NEVER_MS, deep=True)
    assert report.healthy
    assert len(report.links) == 50 * LINKS_EACH
    assert len(report.answered) == 51
    frozen = sorted(client.presence.instances(id)[0].instance_id for id in ids[:3])
    await freeze(*(process.pid for process in lonely))
    report = await client.links.ping(timeout_ms=2_000)
    assert sorted(report.silent) == frozen
    assert _targets(report.links, "silent") == set(ids[:3])
    assert _targets(report.links, "live") == set(ids[3:])

    await eventually(lambda: not any(client.presence.instances(id) for id in ids[:3]), 30)
    async with Client(lattice.server.url, lattice=lattice.lattice) as fresh:
        report = await fresh.links.ping(timeout_ms=2_000)
        assert sorted(report.silent) == frozen
        assert _targets(report.links, "live") == set(ids[3:])
    for process in lonely:
        process.send_signal(signal.SIGCONT)
    await eventually(lambda: _healthy(client), 30)


def _targets(links: object, verdict: str) -> set[str]:
    assert isinstance(links, tuple)
    return {link.target for link in links if link.verdict == verdict}


async def _healthy(client: Client) -> bool:
    return (await client.links.ping()).healthy


async def test_ten_thousand_links_of_one_provider_process_are_all_told_of(one_host: WholeLattice) -> None:
    lattice, client = one_host, one_host.client
    first = await client.links.put(link_spec("app", "kv", KV, name="n0"))
    prefix = subjects.key_prefix("links", lattice.lattice)
    for index in range(1, 10_000):  # without a round trip each
        value = StoredLink.model_validate({**first.model_dump(), "name": f"n{index}"})
        await client.bus.publish(prefix + value.key, value.model_dump_json().encode())
    await client.bus.flush()
    await lattice.crowd(["kv"])
    selector = LinkSelector(participant="kv")

    async def all_live() -> bool:
        report = await client.links.ping(selector, timeout_ms=20_000)
        return report.healthy and len(report.links) == 10_000

    await eventually(all_live, 90)


async def test_who_disagrees_is_said_by_name(two_hosts: WholeLattice) -> None:
    """KV, the provider and the host are each made to hold something else."""
    lattice, client = two_hosts, two_hosts.client
    await lattice.component("front", guests.relay())
    for host in (0, 1):
        await lattice.provider("words", host=host)
    await lattice.link("front", "words")
    one, other = client.presence.instances("words")
    purge = subjects.link_verb(lattice.lattice, "purge", "words", one.instance_id)
    await client.bus.request(purge, b'{"hold": true}', timeout_ms=5_000)
    (link,) = (await client.links.ping()).links
    states = {view.instance_id: view.state for view in link.participants}
    assert link.verdict == "purged"
    assert states == {one.instance_id: "purged", other.instance_id: "active", lattice.hosts[0].id: "active"}
    await client.links.pull()
    await eventually(lambda: _healthy(client))

    # The host's word: it purged what the providers hold open.
    purge = subjects.link_verb(lattice.lattice, "purge", lattice.hosts[0].id)
    await client.bus.request(purge, b'{"hold": true}', timeout_ms=5_000)
    (link,) = (await client.links.ping()).links
    states = {view.instance_id: view.state for view in link.participants}
    assert (link.verdict, states[lattice.hosts[0].id], states[one.instance_id]) == (
        "purged", "purged", "active",
    )  # fmt: skip
    await client.links.pull()
    await eventually(lambda: _healthy(client))

    # KV's word: what stands there is no link any more, and nobody holds on to what it was.
    await BucketStore(client.bus, "links").put("front.words.test.words.default", b"\xff")

    async def orphan() -> bool:
        report = await client.links.ping()
        assert report.links == ()
        assert ("kv", "unreadable") in {(each.kind, each.state) for each in report.orphans}
        return True

    await eventually(orphan)
