"""Must hold 11: nats-server restarts under whole processes, with its store and with an empty one."""

from __future__ import annotations

import asyncio

import guests
import pytest
from whole_lattice import FRONT, WholeLattice, link_spec

from lath.bus import BucketStore
from lath.errors import LathError
from lath.mirror import Mirror
from lath.model import LinkSelector
from lath.testing import eventually


async def chain(lattice: WholeLattice) -> None:
    """front on one host, echo on the other, and words: a provider that stands alone."""
    await lattice.component("echo", guests.echo(tag="e:"), host=1)
    await lattice.component("front", guests.relay())
    await lattice.component("asks-words", guests.relay())
    await lattice.provider_alone("words")
    await lattice.link("front", "echo")
    await lattice.link("asks-words", "words")


async def answers(lattice: WholeLattice) -> bool:
    try:
        said = [await lattice.call(id, FRONT, "x") for id in ("front", "asks-words")]
    except LathError:
        return False
    return said == ["e:x", "p:x"]


async def live(lattice: WholeLattice) -> bool:
    report = await lattice.client.links.ping(timeout_ms=2_000)
    return report.healthy and len(report.links) == 2 and len(report.answered) == 3


async def mirrored(lattice: WholeLattice) -> None:
    """Every mirror equals its bucket: one made now, and by ping's digest those of hosts and provider."""
    bus = lattice.client.bus
    for kind in ("links", "config"):
        listed = await BucketStore(bus, kind).list(">")
        async with asyncio.timeout(20), Mirror(bus, kind) as mirror:
            await mirror.wait_synced()
            assert {key: entry.value for key, entry in mirror.entries.items()} == {
                entry.key: entry.value for entry in listed
            }


async def test_with_its_store_kept_everything_goes_on_by_itself(two_hosts: WholeLattice) -> None:
    lattice = two_hosts
    await chain(lattice)
    links = (await lattice.client.links.list()).links
    await lattice.server.restart(keep_store=True)
    await eventually(lambda: answers(lattice), 40)
    await eventually(lambda: live(lattice), 40)
    assert (await lattice.client.links.list()).links == links
    await mirrored(lattice)
    report = await lattice.client.doctor()
    assert not [finding for finding in report.findings if finding.check == "state"]


async def test_with_an_empty_store_hosts_make_the_buckets_doctor_tells_it_and_a_new_put_is_active(
    two_hosts: WholeLattice,
) -> None:
    lattice, client = two_hosts, two_hosts.client
    await chain(lattice)
    before = (await client.links.list()).links
    for _ in range(5):  # so that the new store's first sequences are lower than what everybody holds
        await client.links.put(link_spec("front", "echo"))
    await lattice.server.restart(keep_store=False)

    async def made_again() -> bool:
        try:
            return (await client.links.list()).links == {}
        except LathError:
            return False

    await eventually(made_again, 40)
    await eventually(lambda: _told_by_both(lattice), 40)
    error = await lattice.failure("front", FRONT, "x")
    assert "link_not_found" in error.message  # nobody routes by what was
    links = [await client.links.put(link_spec("front", "echo")),
             await client.links.put(link_spec("asks-words", "words"))]  # fmt: skip
    old = next(iter(before.values())).revision
    assert all(link.revision.incarnation > old.incarnation for link in links)
    assert min(link.revision.sequence for link in links) == 1
    await eventually(lambda: answers(lattice), 40)
    await eventually(lambda: live(lattice), 40)
    report = await client.links.ping(LinkSelector(source_id="front"))
    assert {view.revision for view in report.links[0].participants} == {links[0].revision}
    await mirrored(lattice)


async def _told_by_both(lattice: WholeLattice) -> bool:
    report = await lattice.client.doctor()
    told = [finding for finding in report.findings if finding.check == "state"]
    return len(told) == 2 and all("lost its state" in finding.message for finding in told)


async def test_what_is_called_while_disconnected_fails_at_once_and_never_runs_later(
    one_host: WholeLattice,
) -> None:
    """Counted at the callee, a provider process at the end of a chain over a host process."""
    lattice, client = one_host, one_host.client
    await lattice.component("front", guests.relay())
    await lattice.provider_alone("words")
    await lattice.link("front", "words")
    await lattice.call("front", FRONT, "counted")
    await lattice.server.stop()
    await eventually(lambda: not client.bus.connected)
    async with asyncio.timeout(20):
        for _ in range(50):
            with pytest.raises(LathError) as caught:
                await lattice.call("front", FRONT, "late", timeout_ms=60_000)
            assert caught.value.kind == "not_connected"
    await lattice.server.start()

    async def seen() -> str:
        try:
            return str(await lattice.call("front", FRONT, "seen?"))
        except LathError:
            return ""

    assert await eventually(seen, 40) == "1"
    for _ in range(20):
        assert await seen() == "1"
