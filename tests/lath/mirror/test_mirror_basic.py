"""A mirror holds exactly what its bucket holds."""

from __future__ import annotations

import asyncio

from lath.bus import BucketStore, Bus
from lath.mirror import Change, Mirror


async def test_a_mirror_follows_puts_and_deletes(bus: Bus) -> None:
    store = BucketStore(bus, "config")
    await store.put("old", b"1")
    seen: list[Change] = []
    async with Mirror(bus, "config") as mirror, asyncio.timeout(10):
        mirror.on_change(seen.extend)
        await mirror.wait_synced()
        assert {k: e.value for k, e in mirror.entries.items()} == {"old": b"1"}
        revision = await store.put("new", b"2")
        await mirror.wait_until(lambda: "new" in mirror.entries)
        assert mirror.entries["new"].sequence == revision.sequence
        await store.delete("old")
        await mirror.wait_until(lambda: "old" not in mirror.entries)
    assert [(c.key, c.old is None, c.new is None) for c in seen] == [
        ("old", True, False), ("new", True, False), ("old", False, True)
    ]  # fmt: skip
    assert seen[-1].tombstone is not None and seen[-1].tombstone.operation == "DEL"
