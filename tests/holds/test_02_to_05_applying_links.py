"""Must hold 2 to 5: links that are put, corrected and deleted while whole processes apply them."""

from __future__ import annotations

import asyncio
import json

import guests
import pytest
from whole_lattice import FRONT, WORDS, WholeLattice, link_spec

from lath import subjects
from lath.bus import BucketStore
from lath.errors import LinkFailed
from lath.testing import eventually


async def test_a_put_that_waits_returns_applied_or_with_the_reason_or_as_unserved(
    one_host: WholeLattice,
) -> None:
    """Must hold 2."""
    lattice, client = one_host, one_host.client
    unserved = await client.links.put_and_wait(link_spec("front", "words"), wait_ms=500)
    assert unserved.verdict == "unserved"
    await lattice.component("front", guests.relay())
    await lattice.provider("words")
    await client.configs.put("prefix", {"prefix": "1:"})
    await lattice.link("front", "words", config="prefix")
    assert await lattice.call("front", FRONT, "x") == "1:x"  # at once: it returned applied
    await client.configs.put("bad", {"broken": "the disk is full"})
    with pytest.raises(LinkFailed, match="the disk is full"):
        await client.links.put_and_wait(link_spec("front", "words", config="bad"), wait_ms=30_000)


async def test_a_config_whose_writer_died_half_way_reaches_the_provider_and_only_its_link(
    one_host: WholeLattice,
) -> None:
    """Must hold 3: the link is not put again, and the other named link keeps what it had."""
    lattice, client = one_host, one_host.client
    await lattice.provider("words")
    await client.configs.put("left", {"broken": "not yet"})
    await client.configs.put("right", {"prefix": "r:"})
    for name in ("left", "right"):
        await lattice.component(f"{name}-front", guests.relay(label=name))
        for each in ("left", "right"):  # either has both links, and calls by one of them
            await client.links.put(link_spec(f"{name}-front", "words", name=each, config=each))
    await eventually(lambda: _said(lattice, "right-front", "r:x"))
    assert "not yet" in (await lattice.failure("left-front", FRONT, "x")).message
    await BucketStore(client.bus, "config").put("left", json.dumps({"prefix": "l:"}).encode())
    await eventually(lambda: _said(lattice, "left-front", "l:x"))
    assert await lattice.call("right-front", FRONT, "x") == "r:x"
    assert set((await lattice.verdicts()).values()) == {"live"}


async def _said(lattice: WholeLattice, target: str, answer: str) -> bool:
    try:
        return bool(await lattice.call(target, FRONT, "x") == answer)
    except Exception:
        return False


async def test_links_put_while_their_provider_starts_are_active_and_bad_ones_delay_nothing(
    one_host: WholeLattice,
) -> None:
    """Must hold 4."""
    lattice, client = one_host, one_host.client
    await client.configs.put("raises", {"broken": "no such host"})
    await client.configs.put("hangs", {"hang": "true"})
    prefix = subjects.key_prefix("links", lattice.lattice)
    await client.bus.publish(f"{prefix}nonsense.words.test.words.default", b"{not a link")
    await client.links.put(link_spec("bad", "words", name="raises", config="raises"))
    await client.links.put(link_spec("bad", "words", name="hangs", config="hangs"))
    starting = asyncio.create_task(lattice.provider("words"))
    for i in range(20):
        await client.links.put(link_spec(f"app-{i}", "words"))
    async with asyncio.timeout(20):  # less than the time-out of an open: nothing waited for the hanging one
        await starting

        async def good_are_live() -> bool:
            verdicts = await lattice.verdicts()
            return all(verdicts[f"app-{i} default"] == "live" for i in range(20))

        await eventually(good_are_live)
        report = await client.links.ping(timeout_ms=60_000)
    told = {link.name: link for link in report.links if link.source_id == "bad"}
    assert told["raises"].verdict == "failed" and "no such host" in told["raises"].reason
    assert told["hangs"].verdict != "live"
    assert [orphan.kind for orphan in report.orphans] == ["kv"]
    assert report.silent == ()


async def test_a_deleted_link_is_let_go_by_every_instance_and_the_others_stay(
    two_hosts: WholeLattice,
) -> None:
    """Must hold 5."""
    lattice, client = two_hosts, two_hosts.client
    for host in (0, 1):
        await lattice.provider("words", WORDS, host=host)
    await lattice.component("front", guests.relay())
    await lattice.component("labelled", guests.relay(label="second"))
    await lattice.link("front", "words")
    await lattice.link("front", "words", name="second")
    await lattice.link("labelled", "words", name="second")
    assert await lattice.call("front", FRONT, "x") == "p:x"
    await client.links.delete("front", "test", "words")

    async def settled() -> bool:
        report = await client.links.ping()
        left = {(link.source_id, link.name): link for link in report.links}
        assert set(left) == {("front", "second"), ("labelled", "second")}
        assert all(link.verdict == "live" for link in left.values())
        assert report.orphans == ()
        return True

    await eventually(settled)
    assert "link_not_found" in (await lattice.failure("front", FRONT, "x")).message
    assert await lattice.call("labelled", FRONT, "x") == "p:x"
