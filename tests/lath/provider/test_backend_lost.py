"""A link whose backend is gone fails with the reason and heals; its calls say whether they may have run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from link_openers import NO_RETRY, SOON, Held, Opener, link, put_again
from pytest_asyncio import fixture

from lath.bus import Bus
from lath.errors import CallCancelled, ConnectionLost, LathError, LinkFailed
from lath.model import HeldLink, LinkSelector
from lath.provider import BackendLost, Backoff, Call, Link, Provider, operation
from lath.provider.table import LinkTable
from lath.testing import eventually
from lath.testing.provider import Linked, ProviderTest

ALL = LinkSelector()
LOST = BackendLost("the server hung up")


@fixture
async def opener() -> AsyncIterator[Opener]:
    opener = Opener()
    yield opener
    opener.release.set()


async def held_of(table: LinkTable) -> HeldLink:
    await table.all_settled()
    (held,) = table.held(ALL)
    return held


class Backend:
    """What `Gone` holds: a backend that a test can take away."""

    def __init__(self) -> None:
        self.closed = False


class Gone(Provider):
    """Its operations lose their backend as they are told."""

    wit = """
        package test:gone@1.0.0;
        interface ask {
            ask: func(what: string) -> result<string, string>;
            wait: func() -> string;
        }
    """
    interface = "test:gone/ask"

    def __init__(self) -> None:
        self.up = True
        self.opened: list[tuple[Link, Backend]] = []
        self.waiting = 0

    async def open_link(self, link: Link) -> Backend:
        if not self.up:
            raise BackendLost("nobody listens there")
        self.opened.append((link, Backend()))
        return self.opened[-1][1]

    async def close_link(self, link: Link, held: Backend) -> None:
        held.closed = True

    async def check_link(self, link: Link, held: Backend) -> None:
        if not self.up:
            raise BackendLost("it gave no answer")

    @operation
    async def ask(self, call: Call[Backend], what: str) -> str:
        if what == "during":
            raise BackendLost("the server hung up")
        if what == "before":
            raise BackendLost("no connection could be made", may_have_run=False)
        return what

    @operation
    async def wait(self, call: Call[Backend]) -> str:
        self.waiting += 1
        await asyncio.Event().wait()
        raise AssertionError


async def ask(linked: Linked, what: str) -> str:
    answer: str = await linked.call("test:gone/ask", "ask", what)
    return answer


def state(test: ProviderTest) -> tuple[str, str | None]:
    (held,) = test.instance.held(ALL)
    return held.state, held.error


@pytest.mark.parametrize(("when", "kind"), [("during", ConnectionLost), ("before", LinkFailed)])
async def test_a_call_that_loses_the_backend_says_whether_it_may_have_run_and_the_link_heals(
    bus: Bus, when: str, kind: type[LathError]
) -> None:
    provider = Gone()
    async with ProviderTest(bus, provider, backoff=Backoff(first_ms=1, max_ms=5)) as test:
        linked = await test.link()
        with pytest.raises(kind, match=r"hung up|no connection could be made"):
            await ask(linked, when)
        await eventually(lambda: state(test) == ("active", None))
        assert await ask(linked, "hello") == "hello"
        *lost, now = [backend.closed for _, backend in provider.opened]  # what did not run is tried again
        assert all(lost) and not now


async def test_while_the_backend_is_gone_the_link_is_failed_with_the_reason_and_calls_fail_at_once(
    bus: Bus,
) -> None:
    provider = Gone()
    async with ProviderTest(bus, provider, backoff=NO_RETRY) as test:
        linked = await test.link()
        with pytest.raises(ConnectionLost):
            await ask(linked, "during")
        assert state(test) == ("failed", "the server hung up")
        with pytest.raises(LinkFailed, match="the server hung up"):
            await ask(linked, "hello")
        await eventually(lambda: provider.opened[0][1].closed)
        await test.instance.pull(ALL)  # an operator need not wait for the next try
        assert await ask(linked, "hello") == "hello"


async def test_a_watcher_outside_of_calls_fails_the_link_and_ends_the_calls_in_flight(bus: Bus) -> None:
    provider = Gone()
    async with ProviderTest(bus, provider, backoff=NO_RETRY) as test:
        linked = await test.link()
        waiting = asyncio.ensure_future(linked.call("test:gone/ask", "wait"))
        await eventually(lambda: provider.waiting)
        provider.context.lost(*provider.opened[0], "the connection was reset")
        assert state(test) == ("failed", "the connection was reset")
        with pytest.raises(ConnectionLost, match="the connection was reset"):
            await waiting
        await eventually(lambda: provider.opened[0][1].closed)


async def test_a_check_that_finds_the_backend_gone_fails_the_link(bus: Bus) -> None:
    provider = Gone()
    async with ProviderTest(bus, provider, backoff=NO_RETRY) as test:
        linked = await test.link()
        provider.up = False
        with pytest.raises(ConnectionLost, match="it gave no answer"):
            await test.instance.check(linked.link.key)
        assert state(test) == ("failed", "it gave no answer")


async def test_the_reason_of_an_open_that_finds_no_backend_is_told_as_it_was_said(bus: Bus) -> None:
    provider = Gone()
    provider.up = False
    async with ProviderTest(bus, provider, backoff=NO_RETRY) as test:
        held = await test.settled(await test.put())
        assert (held.state, held.error) == ("failed", "nobody listens there")


async def test_what_is_said_of_an_earlier_opening_changes_nothing(opener: Opener) -> None:
    table = LinkTable("kv", opener, backoff=SOON)
    put = link()
    table.apply(put)
    await table.all_settled()
    first: Held = table.opened(put.key)[1]
    await table.purge(ALL, hold=False)
    await table.all_settled()
    table.lost(put.key, first, LOST)
    assert (await held_of(table)).state == "active"
    table.lost("nobody.has.this.one.default", first, LOST)
    await table.close()
    assert opener.all_closed_once()


async def test_a_link_that_keeps_losing_its_backend_is_tried_with_growing_delays(opener: Opener) -> None:
    attempts: list[int | None] = []

    def note(held: HeldLink, _: bool) -> None:
        if held.state == "failed":
            attempts.append(held.attempt)

    table = LinkTable("kv", opener, backoff=SOON, on_change=note)
    put = link()
    table.apply(put)
    for number in range(1, 4):
        await eventually(lambda: len(opener.open_now) == 1 and table.held(ALL)[0].state == "active")
        table.lost(put.key, table.opened(put.key)[1], LOST)
        table.lost(put.key, opener.opened[-1], LOST)  # said twice, done once
        assert attempts == list(range(1, number + 1))
    await table.close()
    assert opener.all_closed_once()


async def test_a_lost_link_whose_config_changes_is_opened_with_the_new_one_at_once(opener: Opener) -> None:
    table = LinkTable("kv", opener, backoff=NO_RETRY)
    old = link(config={"url": "a"})
    table.apply(old)
    await table.all_settled()
    new = put_again(old, {"url": "b"})
    table.apply(new)
    table.lost(old.key, table.opened(old.key)[1], LOST)
    assert (await table.settled(new.key, new.revision)).state == "active"
    assert opener.open_now == [new]
    await table.close()
    assert opener.all_closed_once()


async def test_a_lost_link_that_is_deleted_or_purged_is_let_go(opener: Opener) -> None:
    table = LinkTable("kv", opener, backoff=NO_RETRY)
    purged, deleted = link(name="purged"), link(name="deleted")
    for put in (purged, deleted):
        table.apply(put)
    await table.all_settled()
    for put in (purged, deleted):
        table.lost(put.key, table.opened(put.key)[1], LOST)
    table.remove(deleted.key)
    await table.purge(LinkSelector(name="purged"), hold=True)
    await eventually(lambda: [(held.key, held.state) for held in table.held(ALL)] == [(purged.key, "purged")])
    await table.close()
    assert opener.all_closed_once()


async def test_a_call_that_a_purge_ends_is_told_of_the_purge(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lath.provider.slot.CALLS_GRACE_S", 0.01)
    provider = Gone()
    async with ProviderTest(bus, provider) as test:
        linked = await test.link()
        waiting = asyncio.ensure_future(linked.call("test:gone/ask", "wait"))
        await eventually(lambda: provider.waiting)
        await test.instance.purge(ALL, hold=True)
        with pytest.raises(CallCancelled, match="purged"):
            await waiting
