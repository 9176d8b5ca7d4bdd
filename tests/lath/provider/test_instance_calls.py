"""A provider instance on a real bus serves calls: over the bus, from beside it, and makes some itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pytest_asyncio import fixture

from lath import subjects
from lath.bus import Bus
from lath.errors import (
    DeadlineExceeded,
    Draining,
    Internal,
    LathError,
    LinkNotFound,
    NotFound,
)
from lath.model import LinkSelector
from lath.names import InterfaceName
from lath.provider import Call, Link, OpError, Provider, ProviderInstance, operation
from lath.rpc import Caller
from lath.testing import eventually
from lath.testing.provider import ProviderTest

ALL = LinkSelector()


class Echo(Provider):
    """Does what it is told."""

    wit = """
        package test:echo@1.2.0;
        interface talk {
            say: func(what: string) -> result<string, string>;
            shout: func(what: string) -> string;
            wait: func() -> string;
        }
    """
    interface = "test:echo/talk"

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.waiting = 0
        self.calls: list[Call[None]] = []

    @operation
    async def say(self, call: Call[None], what: str) -> str:
        self.calls.append(call)
        if what == "err":
            raise OpError("as asked")
        if what == "boom":
            raise RuntimeError("boom")
        if what == "refuse":
            raise NotFound("no such thing")
        return what

    @operation
    async def shout(self, call: Call[None], what: str) -> Any:
        return 42 if what == "wrong" else what.upper()

    @operation
    async def wait(self, call: Call[None]) -> str:
        self.waiting += 1
        await self.release.wait()
        return "done"


@fixture
async def echo(bus: Bus) -> AsyncIterator[ProviderTest]:
    async with ProviderTest(bus, Echo(), provider_id="echo") as test:
        yield test


async def test_results_errors_and_defects_arrive_as_what_they_are(echo: ProviderTest) -> None:
    linked = await echo.link()
    assert await linked.call("test:echo/talk", "say", "hello") == "hello"
    assert await linked.call("test:echo/talk", "shout", "hello") == "HELLO"
    with pytest.raises(OpError) as refused:
        await linked.call("test:echo/talk", "say", "err")
    assert refused.value.payload == "as asked"
    with pytest.raises(Internal, match="RuntimeError: boom"):
        await linked.call("test:echo/talk", "say", "boom")
    with pytest.raises(NotFound, match="no such thing"):
        await linked.call("test:echo/talk", "say", "refuse")
    with pytest.raises(Internal, match="cannot be its result"):
        await linked.call("test:echo/talk", "shout", "wrong")


async def test_an_operation_is_told_who_calls_by_which_link_and_for_how_long(echo: ProviderTest) -> None:
    linked = await echo.link(source="app", name="loud")
    await linked.call("test:echo/talk", "say", "hello", timeout_ms=60_000)
    assert isinstance(echo.provider, Echo)
    (call,) = echo.provider.calls
    assert (call.source_id, call.link.name, call.link.peer) == ("app", "loud", "app")
    assert 0 < call.ms_left <= 60_000
    assert call.call_id


async def test_a_call_past_its_deadline_is_cancelled_and_says_so(echo: ProviderTest) -> None:
    linked = await echo.link()
    with pytest.raises(DeadlineExceeded):
        await linked.call("test:echo/talk", "wait", timeout_ms=100)


async def test_what_is_not_served_is_named(bus: Bus, echo: ProviderTest) -> None:
    linked = await echo.link()
    with pytest.raises(NotFound, match=r"1\.2\.0.*2\.0\.0"):
        await linked.call_version("2.0.0", "test:echo/talk", "say", "hello")
    assert await linked.call_version("1.0.0", "test:echo/talk", "say", "hello") == "hello"
    for interface, function, named in (
        (InterfaceName("test", "echo", "talk"), "whisper", "say, shout, wait"),
        (InterfaceName("test", "echo", "listen"), "say", "test:echo/talk@1.2.0"),
    ):
        with pytest.raises(NotFound, match=named):
            await raw_call(bus, "echo", linked.link.source_id, "default", interface, function)


async def test_calls_that_no_link_allows_are_refused(bus: Bus, echo: ProviderTest) -> None:
    await echo.link(source="app", name="default")
    talk = InterfaceName("test", "echo", "talk")
    for source, name in (("stranger", "default"), ("app", "other"), ("_client", "_")):
        with pytest.raises(LinkNotFound):
            await raw_call(bus, "echo", source, name, talk, "wait")


async def raw_call(
    bus: Bus, target: str, source: str, link: str, interface: InterfaceName, function: str
) -> None:
    async with Caller(bus, None, source) as caller:
        tail = subjects.call_tail(source, link, interface, function)
        await caller.call(target, tail, b"\x90", linked=True, timeout_ms=5_000)


async def test_a_co_located_call_goes_through_the_same_checks(echo: ProviderTest) -> None:
    linked = await echo.link(source="app")
    deadline = asyncio.get_running_loop().time() + 10

    async def call(function: str, *params: Any, source: str = "app", version: str = "") -> Any:
        return await echo.instance.handle_local(
            source=source,
            link="default",
            interface=InterfaceName("test", "echo", "talk", version),
            function=function,
            params=list(params),
            deadline=deadline,
            revision=linked.link.revision,
        )

    assert echo.instance.accepting
    assert await call("say", "hello") == {"ok": "hello"}
    assert await call("say", "err") == {"err": "as asked"}
    refusals: list[tuple[type[LathError], Callable[[], Any]]] = [
        (Internal, lambda: call("say", "boom")),
        (NotFound, lambda: call("whisper")),
        (NotFound, lambda: call("say", "x", version="3.0.0")),
        (LinkNotFound, lambda: call("say", "x", source="stranger")),
        (LathError, lambda: call("say", 42)),
    ]
    for kind, refused in refusals:
        with pytest.raises(kind):
            await refused()
    running = asyncio.ensure_future(call("wait"))
    assert isinstance(echo.provider, Echo)
    provider = echo.provider
    await eventually(lambda: provider.waiting)
    draining = asyncio.ensure_future(echo.instance.drain(linger_ms=0))
    await eventually(lambda: not echo.instance.accepting)
    with pytest.raises(Draining):
        await call("say", "hello")
    provider.release.set()
    assert await running == {"ok": "done"} or await running == "done"
    await draining


async def test_a_provider_calls_the_target_of_a_link_of_which_it_is_the_source(
    bus: Bus, echo: ProviderTest
) -> None:
    opened: list[Link] = []

    class Cron(Provider):
        async def open_source_link(self, link: Link) -> Link:
            opened.append(link)
            return link

    async with ProviderInstance(Cron(), bus, provider_id="cron") as cron:
        link = await echo.put(source="cron")
        await cron.settled(link.key, link.revision)
        await echo.settled(link)
        assert await cron.call(opened[0], "test:echo/talk", "say", "tick") == "tick"
        assert [held.role for held in cron.held(ALL)] == ["source"]
