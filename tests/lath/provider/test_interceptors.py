"""Interceptors stand around every operation of a provider, and cost nothing where there are none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from lath.codec import Err
from lath.errors import CallCancelled, DeadlineExceeded, Overloaded
from lath.provider import Call, Interceptor, Link, Next, Operation, OpError, Provider, operation
from lath.provider.interceptor import intercepted
from lath.testing.environment import ProviderEnvironment

ECHO = "test:intercepted/echo"


class Echo(Provider):
    wit = """
        package test:intercepted@1.0.0;
        interface echo { say: func(text: string) -> result<string, string>; wait: func(); }
    """
    interface = ECHO

    def __init__(self, *interceptors: Interceptor) -> None:
        self.interceptors = interceptors
        self.said: list[str] = []
        self.waits = asyncio.Event()
        self.ended = asyncio.Event()

    async def open_link(self, link: Link) -> str:
        return link.config.get("prefix", "")

    @operation
    async def say(self, call: Call[str], text: str) -> str:
        self.said.append(text)
        if text.startswith("bad"):
            raise OpError(text)
        return call.held + text

    @operation
    async def wait(self, call: Call[str]) -> None:
        self.waits.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


def named(name: str) -> Interceptor:
    async def say_name(call: Call[Any], operation: Operation, args: Sequence[Any], next: Next) -> Any:
        return f"{name}({await next([f'{name}.{args[0]}'])})"

    return say_name


async def thrice(call: Call[Any], operation: Operation, args: Sequence[Any], next: Next) -> Any:
    for _ in range(2):
        try:
            return await next(args)
        except OpError as e:
            args = [f"{e.payload}!"]
    return await next(args)


async def test_interceptors_stand_around_an_operation_the_first_outermost() -> None:
    provider = Echo(named("a"), named("b"))
    async with ProviderEnvironment(provider) as env:
        linked = await env.link(config={"prefix": "<"})
        assert await linked.call(ECHO, "say", "hello") == "a(b(<b.a.hello))"
    assert provider.said == ["b.a.hello"]


async def test_an_interceptor_sees_the_call_and_the_operation_and_may_answer_it_itself() -> None:
    seen: list[tuple[str, str, str, list[Any]]] = []

    async def answer(call: Call[Any], operation: Operation, args: Sequence[Any], next: Next) -> Any:
        seen.append((call.source_id, call.held, operation.title, list(args)))
        return "cached"

    provider = Echo(answer)
    async with ProviderEnvironment(provider) as env:
        linked = await env.link(source="app", config={"prefix": "<"})
        assert await linked.call(ECHO, "say", "hello") == "cached"
    assert provider.said == []
    assert seen == [("app", "<", f"{ECHO}@1.0.0.say", ["hello"])]


async def test_errors_pass_through_interceptors_with_their_kind() -> None:
    async def quota(call: Call[Any], operation: Operation, args: Sequence[Any], next: Next) -> Any:
        if args == ["too much"]:
            raise Overloaded("the quota of app is used up")
        return await next(args)

    provider = Echo(thrice, quota)
    async with ProviderEnvironment(provider) as env:
        linked = await env.link()
        with pytest.raises(OpError) as caught:
            await linked.call(ECHO, "say", "bad")
        assert caught.value.payload == "bad!!"
        assert provider.said == ["bad", "bad!", "bad!!"]
        with pytest.raises(Overloaded, match="the quota of app is used up"):
            await linked.call(ECHO, "say", "too much")


async def test_an_interceptor_is_cancelled_with_its_call_and_cannot_hold_it_up() -> None:
    cancelled: list[str] = []

    async def watch(call: Call[Any], operation: Operation, args: Sequence[Any], next: Next) -> Any:
        try:
            return await next(args)
        except asyncio.CancelledError:
            cancelled.append(operation.function)
            raise

    provider = Echo(watch)
    async with ProviderEnvironment(provider) as env:
        linked = await env.link()
        with pytest.raises((DeadlineExceeded, CallCancelled)):
            await linked.call(ECHO, "wait", timeout_ms=200)
        async with asyncio.timeout(10):
            await provider.ended.wait()
    assert cancelled == ["wait"]


async def test_a_provider_without_interceptors_pays_nothing_for_them() -> None:
    """Whatever a call of an operation enters in Python is the operation itself, as if there were none."""

    async def entered(provider: Echo) -> list[str]:
        names: list[str] = []
        operation = Echo.operations["test", "intercepted", "echo", "say"]
        call: Any = Call(None, "", "app", "", 0.0, None, None)  # type: ignore[arg-type]  # say reads `held` only
        sys.setprofile(
            lambda frame, event, _: names.append(frame.f_code.co_name) if event == "call" else None
        )
        try:
            assert await operation.run(provider, call, ["x"]) == "x"
        finally:
            sys.setprofile(None)
        return names

    assert await entered(Echo()) == ["run", "say"]

    async def plain(call: Call[Any], operation: Operation, args: Sequence[Any], next: Next) -> Any:
        return await next(args)

    assert intercepted.__name__ in await entered(Echo(plain))


async def test_an_error_of_the_result_is_told_after_the_interceptors() -> None:
    operation = Echo.operations["test", "intercepted", "echo", "say"]
    call: Any = Call(None, "", "app", "", 0.0, None, None)  # type: ignore[arg-type]  # say reads `held` only
    assert await operation.run(Echo(thrice), call, ["bad"]) == Err("bad!!")
