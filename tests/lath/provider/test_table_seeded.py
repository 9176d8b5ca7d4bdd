"""The link table under random changes: it ends where KV does, and closes exactly once what it opened.

A failing seed replays exactly; put it into `GRAVEYARD`, which runs first.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from link_openers import SOON, Held, Opener, link, put_again

from lath.errors import CallCancelled, ConnectionLost, LinkFailed, LinkNotFound
from lath.model import Link, LinkSelector
from lath.provider import BackendLost
from lath.provider.table import LinkTable
from lath.testing import eventually

GRAVEYARD: tuple[int, ...] = ()
SEEDS = (*GRAVEYARD, *range(40))
NAMES = tuple("abcd")


class FickleOpener(Opener):
    """Opens after some turns of the loop, or fails, or ignores being cancelled; closing may fail too."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(open_timeout_s=5, close_timeout_s=5)
        self.chance = chance

    async def open(self, link: Link) -> Held:
        what = self.chance.random()
        await turns(self.chance.randrange(6), stubborn=what < 0.3)
        if what > 0.8:
            raise ConnectionError("as luck would have it")
        held = Held(link)
        self.opened.append(held)
        return held

    async def close(self, link: Link, held: Held) -> None:
        held.closed += 1
        await turns(self.chance.randrange(4), stubborn=False)
        if self.chance.random() < 0.1:
            raise OSError("as luck would have it")


async def turns(count: int, *, stubborn: bool) -> None:
    for _ in range(count):
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not stubborn:
                raise


async def use(table: LinkTable, put: Link, chance: random.Random) -> None:
    loop = asyncio.get_running_loop()
    try:
        with await table.use(put.key, put.revision, loop.time() + 5) as held:
            assert held.held.closed == 0
            async with held.until(loop.time() + 5):
                await turns(chance.randrange(5), stubborn=False)
                assert held.held.closed == 0
    except (LinkFailed, LinkNotFound, CallCancelled, ConnectionLost):
        return


def open_now(opener: Opener) -> dict[str, dict[str, str]]:
    found = opener.open_now
    assert len({each.key for each in found}) == len(found)
    return {each.key: each.target_config_values for each in found}


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_the_table_ends_where_kv_does(seed: int) -> None:
    chance = random.Random(seed)
    opener = FickleOpener(chance)
    table = LinkTable("kv", opener, backoff=SOON, caught_up=lambda _: True)
    kept: dict[str, Link] = {}
    calls: list[asyncio.Task[Any]] = []
    async with asyncio.timeout(30):
        for _ in range(150):
            name = chance.choice(NAMES)
            match chance.randrange(9):
                case 0 | 1 | 2:
                    old = kept.get(name)
                    config = {"v": str(chance.randrange(3))}
                    kept[name] = put_again(old, config) if old else link(name=name, config=config)
                    table.apply(kept[name])
                case 3:
                    if name in kept:
                        table.remove(kept.pop(name).key)
                case 4:
                    await table.purge(LinkSelector(name=name), hold=chance.random() < 0.5)
                case 5:
                    table.reopen(LinkSelector(name=name))
                case 6:
                    if opener.opened:
                        held = chance.choice(opener.opened)
                        table.lost(held.link.key, held, BackendLost("as luck would have it"))
                case _:
                    if name in kept:
                        calls.append(asyncio.create_task(use(table, kept[name], chance)))
            await turns(chance.randrange(4), stubborn=False)
        table.reopen(LinkSelector())
        for put in kept.values():
            while (told := await table.settled(put.key, put.revision)).state != "active":
                await table._changed(put.key)
            assert told.revision == put.revision
        await asyncio.gather(*calls)
        # What was given up may still be closing.
        await eventually(
            lambda: open_now(opener) == {put.key: put.target_config_values for put in kept.values()}
        )
        await table.close()
    assert opener.all_closed_once()
    assert len(table) == 0
