"""The link table: each link gets to what KV says by itself, and what is opened is closed exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from link_openers import INCARNATION, NO_RETRY, SOON, Held, Opener, link, put_again

from lath.backoff import Backoff
from lath.errors import CallCancelled, LinkFailed, LinkNotFound
from lath.model import HeldLink, LinkSelector, Revision
from lath.provider.table import LinkTable
from lath.testing import eventually

ALL = LinkSelector()


@asynccontextmanager
async def table_of(
    opener: Opener,
    *,
    backoff: Backoff = NO_RETRY,
    on_change: Callable[[HeldLink, bool], None] = lambda _, __: None,
    caught_up: Callable[[Revision], bool] = lambda _: True,
) -> AsyncIterator[LinkTable]:
    table = LinkTable("kv", opener, backoff=backoff, on_change=on_change, caught_up=caught_up)
    try:
        async with asyncio.timeout(20):
            yield table
    finally:
        opener.release.set()
        await table.close()
        assert opener.all_closed_once()


def states(table: LinkTable) -> dict[str, str]:
    return {held.key: held.state for held in table.held(ALL)}


def in_s(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_a_link_becomes_active_at_the_revision_that_was_put() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        put = link()
        table.apply(put)
        settled = await table.settled(put.key, put.revision)
        assert (settled.state, settled.revision, settled.role) == ("active", put.revision, "target")
        assert opener.open_now == [put]


async def test_links_that_hang_or_fail_hold_up_no_other() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        hanging = [link(source=f"hangs{i}", config={"do": "hang"}) for i in range(50)]
        failing = [link(source=f"fails{i}", config={"do": "fail"}) for i in range(50)]
        good = [link(source=f"good{i}") for i in range(50)]
        for each in (*hanging, *failing, *good):
            table.apply(each)
        for each in good:
            assert (await table.settled(each.key, each.revision)).state == "active"
        for each in failing:
            assert (await table.settled(each.key, each.revision)).state == "failed"
        assert all(states(table)[each.key] == "opening" for each in hanging)


async def test_a_failed_link_says_why_and_when_it_is_tried_again() -> None:
    async with table_of(Opener()) as table:
        put = link(config={"do": "fail", "url": "redis://nowhere"})
        table.apply(put)
        settled = await table.settled(put.key, put.revision)
        assert settled.error == "ConnectionError: no route to redis://nowhere"
        assert settled.attempt == 1
        assert settled.retry_in_ms is not None
        assert settled.retry_in_ms > 1_000_000


async def test_an_open_that_hangs_past_its_time_fails_with_that_reason() -> None:
    async with table_of(Opener(open_timeout_s=0.02)) as table:
        put = link(config={"do": "hang"})
        table.apply(put)
        settled = await table.settled(put.key, put.revision)
        assert settled.state == "failed"
        assert settled.error == "open_link gave no answer within 0.02 s"


async def test_a_corrected_config_applies_by_itself_and_the_old_is_closed_first() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        broken = link(config={"do": "fail"})
        table.apply(broken)
        await table.settled(broken.key, broken.revision)
        fixed = put_again(broken, {"url": "a"})
        table.apply(fixed)
        assert (await table.settled(fixed.key, fixed.revision)).state == "active"
        other = put_again(fixed, {"url": "b"})
        table.apply(other)
        assert (await table.settled(other.key, other.revision)).state == "active"
        assert opener.open_now == [other]


async def test_the_same_values_at_a_new_revision_open_nothing_again() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        first = link(config={"url": "a"})
        table.apply(first)
        await table.settled(first.key, first.revision)
        again = put_again(first)
        table.apply(again)
        settled = await table.settled(again.key, again.revision)
        assert (settled.state, settled.revision) == ("active", again.revision)
        assert opener.tries == 1


async def test_the_same_values_for_a_failed_link_are_tried_at_once() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        first = link(config={"do": "fail"})
        table.apply(first)
        await table.settled(first.key, first.revision)
        again = put_again(first)
        table.apply(again)
        settled = await table.settled(again.key, again.revision)
        assert (settled.state, settled.attempt) == ("failed", 1)
        assert opener.tries == 2


async def test_a_failed_link_is_tried_again_until_it_works() -> None:
    opener = Opener()
    tries: list[int] = []

    async def open_third_time(put: Any) -> Held:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("not yet")
        held = Held(put)
        opener.opened.append(held)
        return held

    opener.open = open_third_time  # type: ignore[method-assign]
    seen: list[str] = []
    async with table_of(opener, backoff=SOON, on_change=lambda held, _: seen.append(held.state)) as table:
        put = link()
        table.apply(put)
        await table.settled(put.key, put.revision)
        while states(table)[put.key] != "active":
            await table._changed(put.key)
        assert seen == ["failed", "failed", "active"]


async def test_a_delete_closes_exactly_that_link() -> None:
    opener = Opener()
    gone = asyncio.Event()
    async with table_of(opener, on_change=lambda _, deleted: gone.set() if deleted else None) as table:
        doomed, other = link(name="a"), link(name="b")
        table.apply(doomed)
        table.apply(other)
        await table.all_settled()
        table.remove(doomed.key)
        await gone.wait()
        assert opener.open_now == [other]
        assert states(table) == {other.key: "active"}
        with pytest.raises(LinkNotFound):
            await table.use(doomed.key, doomed.revision, in_s(5))


async def test_a_link_deleted_while_it_opens_leaves_nothing_even_when_the_open_returns_late() -> None:
    opener = Opener()
    gone = asyncio.Event()
    async with table_of(opener, on_change=lambda _, deleted: gone.set() if deleted else None) as table:
        put = link(config={"do": "stubborn"})
        table.apply(put)
        await eventually(lambda: opener.tries)
        table.remove(put.key)
        await gone.wait()
        assert opener.opened == []
        opener.release.set()
        await table.close()
        assert len(opener.opened) == 1
        assert opener.all_closed_once()


async def test_a_link_deleted_and_put_again_is_open_once() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        put = link()
        table.apply(put)
        await table.settled(put.key, put.revision)
        for _ in range(20):
            table.remove(put.key)
            put = put_again(put)
            table.apply(put)
        assert (await table.settled(put.key, put.revision)).state == "active"
        assert len(opener.open_now) == 1


async def test_a_purge_with_hold_leaves_nothing_open_and_calls_fail_at_once_saying_so() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        put = link()
        table.apply(put)
        await table.settled(put.key, put.revision)
        assert await table.purge(ALL, hold=True) == [put.key]
        assert opener.open_now == []
        assert states(table) == {put.key: "purged"}
        with pytest.raises(LinkFailed, match="purged"):
            await table.use(put.key, put.revision, in_s(3600))
        again = put_again(put, {"url": "new"})
        table.apply(again)
        assert (await table.settled(again.key, again.revision)).state == "purged"
        assert await table.purge(ALL, hold=True) == [put.key]  # nothing to do, and it says so
        table.reopen(ALL)
        assert (await table.settled(again.key, again.revision)).state == "active"
        assert opener.open_now == [again]


async def test_a_link_whose_secret_changes_as_it_is_purged_with_hold_is_settled() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        put = link()
        table.apply(put)
        await table.settled(put.key, put.revision)
        table.outdate(lambda _: True)
        await table.purge(ALL, hold=True)
        assert (await table.settled(put.key, put.revision)).state == "purged"
        table.outdate(lambda _: True)
        assert (await table.settled(put.key, put.revision)).state == "purged"
        table.reopen(ALL)
        assert (await table.settled(put.key, put.revision)).state == "active"
        assert [held.closed for held in opener.opened] == [1, 0]


async def test_a_purge_without_hold_opens_the_link_again() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        put = link()
        table.apply(put)
        await table.settled(put.key, put.revision)
        await table.purge(ALL, hold=False)
        await table.all_settled()
        assert states(table) == {put.key: "active"}
        assert [held.closed for held in opener.opened] == [1, 0]


async def test_a_purge_touches_the_selected_links_only() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        a, b = link(name="a"), link(name="b")
        table.apply(a)
        table.apply(b)
        await table.all_settled()
        assert await table.purge(LinkSelector(name="a"), hold=True) == [a.key]
        assert states(table) == {a.key: "purged", b.key: "active"}


async def test_a_close_that_raises_or_hangs_is_told_and_holds_nothing_up() -> None:
    opener = Opener(close_timeout_s=0.02)

    async def close(put: Any) -> None:
        if put.name == "raises":
            raise OSError("already gone")
        await asyncio.Event().wait()

    async with table_of(opener) as table:
        for name in ("raises", "hangs"):
            table.apply(link(name=name))
        await table.all_settled()
        opener.on_close = close
        await table.purge(ALL, hold=True)
        assert [held.error for held in table.held(ALL)] == [
            "close_link gave no answer within 0.02 s",
            "close_link: OSError: already gone",
        ]
        opener.on_close = None


async def test_a_pull_tries_a_failed_link_at_once() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        put = link(config={"do": "fail"})
        table.apply(put)
        await table.settled(put.key, put.revision)
        table.reopen(ALL)
        await table.settled(put.key, put.revision)
        assert opener.tries == 2


async def test_a_call_waits_for_the_revision_it_was_routed_by() -> None:
    async with table_of(Opener(), caught_up=lambda _: False) as table:
        put = link()
        waiting = asyncio.ensure_future(table.use(put.key, put.revision, in_s(10)))
        await eventually(lambda: table._waiters)
        table.apply(put)
        with await waiting as use:
            assert use.link == put
        newer = put_again(put, {"url": "b"})
        waiting = asyncio.ensure_future(table.use(put.key, newer.revision, in_s(10)))
        await eventually(lambda: table._waiters)
        assert not waiting.done()
        table.apply(newer)
        with await waiting as use:
            assert use.held.link == newer


async def test_a_call_by_a_revision_that_never_comes_fails_with_that_reason() -> None:
    async with table_of(Opener(), caught_up=lambda _: False) as table:
        put = link()
        table.apply(put)
        await table.settled(put.key, put.revision)
        ahead = Revision(incarnation=INCARNATION, sequence=10**9)
        with pytest.raises(LinkFailed, match="has not arrived"):
            await table.use(put.key, ahead, in_s(0.02))
        with pytest.raises(LinkFailed, match="has not reached this instance"):
            await table.use("app.kv.wasi.keyvalue.none", ahead, in_s(0.02))


async def test_a_call_by_a_link_that_does_not_exist_fails_at_once() -> None:
    async with table_of(Opener()) as table:
        for revision in (None, Revision(incarnation=INCARNATION, sequence=1)):
            with pytest.raises(LinkNotFound):
                await table.use("app.kv.wasi.keyvalue.none", revision, in_s(3600))


async def test_a_call_by_a_failed_link_fails_at_once_with_the_reason() -> None:
    async with table_of(Opener()) as table:
        put = link(config={"do": "fail", "url": "x"})
        table.apply(put)
        await table.settled(put.key, put.revision)
        with pytest.raises(LinkFailed, match="no route to x"):
            await table.use(put.key, put.revision, in_s(3600))


async def test_a_purge_lets_a_call_in_flight_finish_before_it_closes() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        put = link()
        table.apply(put)
        use = await table.use(put.key, put.revision, in_s(60))
        with use:
            purge = asyncio.ensure_future(table.purge(ALL, hold=True))
            await eventually(lambda: states(table)[put.key] == "closing")
            assert use.held.closed == 0
        await purge
        assert use.held.closed == 1


async def test_a_call_that_outlasts_the_grace_of_a_purge_is_cancelled_saying_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lath.provider.slot.CALLS_GRACE_S", 0.02)
    async with table_of(Opener()) as table:
        put = link()
        table.apply(put)

        async def call() -> None:
            with await table.use(put.key, put.revision, in_s(60)) as use:
                async with use.until(in_s(60)):
                    await asyncio.Event().wait()

        calling = asyncio.ensure_future(call())
        await table.all_settled()
        await eventually(lambda: table._slots[put.key]._uses)
        await table.purge(ALL, hold=True)
        with pytest.raises(CallCancelled, match="was purged while the call ran"):
            await calling


async def test_opens_that_ignore_their_cancelling_do_not_pile_up() -> None:
    opener = Opener(open_timeout_s=0.005)
    async with table_of(opener, backoff=SOON) as table:
        put = link(config={"do": "stubborn"})
        table.apply(put)
        while "still hang" not in (table.held(ALL)[0].error or ""):
            await table._changed(put.key)
        assert opener.tries == 4


async def test_two_named_links_of_one_source_keep_apart() -> None:
    opener = Opener()
    async with table_of(opener) as table:
        a, b = link(name="a", config={"url": "1"}), link(name="b", config={"url": "2"})
        table.apply(a)
        table.apply(b)
        await table.all_settled()
        with await table.use(a.key, a.revision, in_s(5)) as use:
            assert use.link.target_config_values == {"url": "1"}
        with await table.use(b.key, b.revision, in_s(5)) as use:
            assert use.link.target_config_values == {"url": "2"}


async def test_closing_the_table_closes_every_link_and_ends_those_that_wait() -> None:
    opener = Opener()
    table = LinkTable("kv", opener, backoff=NO_RETRY)
    links = [link(name=f"l{i}") for i in range(100)]
    for each in links:
        table.apply(each)
    await table.all_settled()
    ahead = Revision(incarnation=INCARNATION, sequence=10**9)
    waiting = asyncio.ensure_future(table.use(links[0].key, ahead, in_s(3600)))
    await eventually(lambda: table._waiters)
    async with asyncio.timeout(10):
        await table.close()
        await table.close()
        with pytest.raises(LinkNotFound):
            await waiting
    assert opener.all_closed_once()
    assert len(table) == 0


def test_delays_grow_with_jitter_up_to_their_cap() -> None:
    backoff = Backoff(first_ms=100, max_ms=1_000)
    for attempt, full in ((1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (1_000, 1_000)):
        delays = [backoff.delay_ms(attempt) for _ in range(50)]
        assert all(full / 2 <= delay <= full for delay in delays)
        assert len(set(delays)) > 1
