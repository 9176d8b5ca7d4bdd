"""Purge and pull: done by everybody, or named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from link_lattice import LinkLattice, link_lattice

from lath.model import LinkSelector
from lath.server import Server

QUICK_MS = 600


@pytest.fixture
async def lat(shared_nats_server: Server, lattice: str) -> AsyncIterator[LinkLattice]:
    async with asyncio.timeout(60), link_lattice(shared_nats_server.url, lattice) as made:
        yield made


async def test_every_instance_acknowledges_a_purge_and_holds_until_a_pull(lat: LinkLattice) -> None:
    link, other = await lat.put("app", "kv"), await lat.put("web", "kv")
    for index in range(3):
        holder = (await lat.member("provider", "kv", instance=f"p{index}", follow=False)).holder
        await holder.hold(link)
        await holder.hold(other)
    selector = LinkSelector(source_id="app")
    purged = await lat.ops.purge(selector, hold=True)
    assert purged.complete
    assert (purged.verb, purged.answered) == ("purge", ("p0", "p1", "p2"))
    assert purged.links == {"p0": 1, "p1": 1, "p2": 1}
    report = await lat.ops.ping()
    assert {row.source_id: row.verdict for row in report.links} == {"app": "purged", "web": "live"}
    assert (await lat.ops.pull(selector)).complete
    assert (await lat.ops.ping()).healthy


async def test_a_purge_opens_again_at_once(lat: LinkLattice) -> None:
    holder = (await lat.member("provider", "kv", follow=False)).holder
    await holder.hold(await lat.put("app", "kv"))
    assert (await lat.ops.purge()).complete
    assert (await lat.ops.ping()).healthy


async def test_who_cannot_open_a_link_again_is_named_with_its_reason(lat: LinkLattice) -> None:
    link = await lat.put("app", "kv")
    for instance in ("good", "bad"):
        holder = (await lat.member("provider", "kv", instance=instance, follow=False)).holder
        await holder.hold(link)
    holder.fail["default"] = "connection refused"
    report = await lat.ops.pull()
    assert report.failed.keys() == {"bad"}
    assert "connection refused" in report.failed["bad"]
    assert not report.complete


async def test_who_does_not_finish_in_time_is_named(lat: LinkLattice) -> None:
    holder = (await lat.member("provider", "kv", instance="slow", follow=False)).holder
    await holder.hold(await lat.put("app", "kv"))
    holder.gate = asyncio.Event()
    report = await lat.ops.purge(timeout_ms=QUICK_MS)
    assert "still runs" in report.failed["slow"]
    holder.gate.set()


async def test_the_silent_are_named(lat: LinkLattice) -> None:
    await lat.member("provider", "kv", instance="p1")
    silent = await lat.member("provider", "kv", instance="p2")
    await silent.server.close()
    report = await lat.ops.purge(timeout_ms=QUICK_MS)
    assert (report.answered, report.silent) == (("p1",), ("p2",))
    assert report.names["p2"] == "kv/p2"
    assert not report.complete
