"""A provider called in memory: milliseconds, and the same answers as on a bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import pytest

from lath.bus import Bus
from lath.codec import Resource, Variant
from lath.errors import DeadlineExceeded, InvalidArgument, LathError, LinkFailed, LinkNotFound, NotFound
from lath.provider import Call, Link, OpError, Provider, operation
from lath.testing import eventually
from lath.testing.environment import ProviderEnvironment
from lath.testing.memory_keyvalue import ATOMICS, STORE, MemoryKeyValue
from lath.testing.provider import ProviderTest


class Linked(Protocol):
    async def call(self, interface: str, function: str, *args: Any) -> Any: ...


async def test_operations_are_called_by_a_link_with_values_as_a_component_has_them() -> None:
    async with ProviderEnvironment(MemoryKeyValue()) as env:
        linked = await env.link()
        bucket = await linked.call(STORE, "open", "")
        assert isinstance(bucket, Resource)
        await linked.call(STORE, "[method]bucket.set", bucket, "key", b"value")
        assert await linked.call(STORE, "[method]bucket.get", bucket, "key") == b"value"
        assert await linked.call(ATOMICS, "increment", bucket, "n", 41) == 41
        page = await linked.call(STORE, "[method]bucket.list-keys", bucket, None)
        assert (sorted(page.keys), page.cursor) == (["key", "n"], None)


def outcomes() -> list[Callable[[Linked, Resource], Awaitable[Any]]]:
    return [
        lambda linked, bucket: linked.call(STORE, "[method]bucket.get", bucket, "absent"),
        lambda linked, bucket: linked.call(STORE, "[method]bucket.set", bucket, "text", b"forty-two"),
        lambda linked, bucket: linked.call(ATOMICS, "increment", bucket, "text", 1),
        lambda linked, bucket: linked.call(ATOMICS, "increment", bucket, "n", 2**64),
        lambda linked, bucket: linked.call(ATOMICS, "increment", bucket, "n", 7),
        lambda linked, bucket: linked.call(STORE, "open", "somebody-elses"),
        lambda linked, bucket: linked.call(STORE, "[method]bucket.get", Resource(b"forged"), "key"),
        lambda linked, bucket: linked.call(STORE, "[method]bucket.get", bucket, b"no text"),
        lambda linked, bucket: linked.call(STORE, "[method]bucket.get", bucket),
        lambda linked, bucket: linked.call(STORE, "shut", bucket),
        lambda linked, bucket: linked.call("wasi:keyvalue/nothing", "open", ""),
    ]


async def told(linked: Linked) -> list[tuple[str, Any]]:
    bucket = await linked.call(STORE, "open", "")
    answers: list[tuple[str, Any]] = []
    for ask in outcomes():
        try:
            answers.append(("ok", await ask(linked, bucket)))
        except OpError as e:
            answers.append(("err", e.payload))
        except LathError as e:
            answers.append((e.kind, e.message))
    return answers


async def test_answers_and_errors_are_those_of_a_provider_on_a_bus(bus: Bus) -> None:
    async with ProviderEnvironment(MemoryKeyValue()) as env:
        in_memory = await told(await env.link())
    async with ProviderTest(bus, MemoryKeyValue()) as test:
        on_a_bus = await told(await test.link())
    assert in_memory == on_a_bus
    assert {kind for kind, _ in in_memory} == {"ok", "err", "invalid_argument", "not_found"}


async def test_a_link_that_fails_says_why_and_heals_when_its_config_is_corrected() -> None:
    async with ProviderEnvironment(MemoryKeyValue()) as env:
        assert "no such backend" in await env.failure(config={"fail": "no such backend"})
        linked = await env.link(config={"bucket": "b"})
        env.lattice.configure(linked.link, {"fail": "gone"})
        with pytest.raises(LinkFailed, match="gone"):
            await linked.call(STORE, "open", "")
        env.lattice.configure(linked.link, {"bucket": "b"})
        await eventually(lambda: env.held()[0].state == "active")
        assert await linked.call(STORE, "open", "")
        with pytest.raises(AssertionError, match="did not fail"):
            await env.failure(name="other")


async def test_everything_that_a_link_held_is_closed_in_a_purge_and_at_the_end() -> None:
    provider = MemoryKeyValue()
    async with ProviderEnvironment(provider) as env:
        linked = await env.link()
        before = set(provider.connections)
        await env.purge()
        assert len(provider.connections) == 1
        assert not provider.connections & before
        await env.purge(hold=True)
        assert not provider.connections
        with pytest.raises(LinkFailed, match="purged"):
            await linked.call(STORE, "open", "")
    assert not provider.connections


async def test_a_deleted_link_and_what_it_does_not_allow_are_refused() -> None:
    async with ProviderEnvironment(MemoryKeyValue()) as env:
        narrow = await env.link(interfaces=("store",))
        bucket = await narrow.call(STORE, "open", "")
        with pytest.raises(LinkNotFound, match="allows store, not atomics"):
            await narrow.call(ATOMICS, "increment", bucket, "n", 1)
        env.lattice.delete(narrow.link)
        with pytest.raises(LinkNotFound):
            await narrow.call(STORE, "open", "")
        await eventually(lambda: not env.provider.connections)


async def test_a_check_asks_the_backend() -> None:
    async with ProviderEnvironment(MemoryKeyValue()) as env:
        up, down = await env.link(), await env.link(name="down", config={"down": "it sleeps"})
        assert await env.check(up.link) >= 0
        with pytest.raises(ConnectionError, match="it sleeps"):
            await env.check(down.link)


class Slow(Provider):
    wit = "package test:slow@1.0.0; interface slow { wait: func(); }"

    def __init__(self) -> None:
        self.life: list[str] = []

    async def start(self, config: Any) -> None:
        self.life.append(f"start {config['name']}")

    async def drain(self) -> None:
        self.life.append("drain")

    async def stop(self) -> None:
        self.life.append("stop")

    async def close_link(self, link: Link, held: None) -> None:
        self.life.append(f"close {link.name}")

    @operation("test:slow/slow")
    async def wait(self, call: Call[None]) -> None:
        await asyncio.Event().wait()


async def test_a_provider_lives_as_in_a_process_and_its_calls_end_at_their_deadline() -> None:
    provider = Slow()
    async with ProviderEnvironment(provider, config={"name": "slow"}) as env:
        linked = await env.link()
        with pytest.raises(DeadlineExceeded):
            await linked.call("test:slow/slow", "wait", timeout_ms=20)
        assert env.provider.context.lattice == "memory"
    assert provider.life == ["start slow", "drain", "close default", "stop"]


WORDS = """
    package test:told@1.0.0;
    interface news {
        variant refusal { busy, other(string) }
        on-word: func(word: string) -> result<u32, refusal>;
    }
    interface teller { tell: func(word: string) -> result<u32, string>; }
"""


class Teller(Provider):
    """Passes on what it is told, by the link of which it is the source."""

    wit = WORDS

    def __init__(self) -> None:
        self.listener: Link | None = None

    async def open_source_link(self, link: Link) -> None:
        self.listener = link

    @operation("test:told/teller")
    async def tell(self, call: Call[None], word: str) -> int:
        assert self.listener is not None
        try:
            told: int = await self.context.call(self.listener, "test:told/news", "on-word", word)
        except OpError as e:
            raise OpError(f"refused: {e.payload.case}") from None
        return told


class Listener:
    def __init__(self) -> None:
        self.words: list[str] = []

    async def on_word(self, word: str) -> int:
        if word == "again":
            raise OpError(Variant("busy"))
        self.words.append(word)
        return len(self.words)


async def test_what_a_provider_calls_is_a_python_object_in_the_place_of_a_component() -> None:
    listener = Listener()
    async with ProviderEnvironment(Teller()) as env:
        await env.source_link("app", {"test:told/news": listener})
        linked = await env.link(source="other", interfaces=("teller",))
        assert await linked.call("test:told/teller", "tell", "hello") == 1
        with pytest.raises(OpError) as caught:
            await linked.call("test:told/teller", "tell", "again")
        assert caught.value.payload == "refused: busy"
    assert listener.words == ["hello"]


async def test_what_a_stand_in_returns_is_checked_against_the_wit() -> None:
    class Wrong:
        async def on_word(self, word: str) -> str:
            return word

    async with ProviderEnvironment(Teller()) as env:
        link = await env.source_link("app", {"test:told/news": Wrong()})
        assert env.provider.listener is not None
        with pytest.raises(InvalidArgument, match="expected u32"):
            await env.provider.context.call(env.provider.listener, "test:told/news", "on-word", "x")
        with pytest.raises(NotFound):
            await env.provider.context.call(env.provider.listener, "test:told/news", "off-word", "x")
        assert link.source_id == "provider"
