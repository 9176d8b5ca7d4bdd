"""Scatter/gather: who is waited for, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from nats.aio.msg import Msg

from lath.bus import Bus
from lath.errors import InvalidArgument, Unavailable
from lath.gather import Gathered, gather
from lath.server import Server

SUBJECT = "everybody"
LONG_MS = 60_000


@pytest.fixture
async def plain_bus(shared_nats_server: Server, lattice: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(shared_nats_server.url, lattice=lattice, name="asker") as bus:
        yield bus


@asynccontextmanager
async def answering(bus: Bus, *names: str, count: int = 1) -> AsyncIterator[None]:
    """Participants that answer the lattice's subject with their names."""
    async with AsyncExitStack() as stack:
        for name in names:

            async def handle(msg: Msg, name: str = name) -> None:
                for _ in range(count):
                    await bus.publish(msg.reply, name.encode())

            subscription = await bus.subscribe(f"{SUBJECT}.{bus.lattice}", handle)
            stack.push_async_callback(subscription.close)
        await bus.flush()
        yield


async def ask(bus: Bus, expected: set[str], timeout_ms: float = LONG_MS, **options: object) -> Gathered:
    def id_of(msg: Msg) -> str:
        name: str = msg.data.decode()
        if name == "garbage":
            raise InvalidArgument("reply is not valid")
        return name

    async with asyncio.timeout(20):
        return await gather(
            bus,
            f"{SUBJECT}.{bus.lattice}",
            b"?",
            expected=expected,
            id_of=id_of,
            timeout_ms=timeout_ms,
            **options,
        )  # type: ignore[arg-type]


async def test_it_ends_as_soon_as_all_expected_have_answered(plain_bus: Bus) -> None:
    async with answering(plain_bus, "a", "b", "c"):
        gathered = await ask(plain_bus, {"a", "b", "c"})
    assert gathered.replies.keys() == {"a", "b", "c"}
    assert gathered.silent == set()


async def test_the_silent_are_named_when_the_time_is_over(plain_bus: Bus) -> None:
    async with answering(plain_bus, "a"):
        gathered = await ask(plain_bus, {"a", "frozen"}, timeout_ms=100)
    assert gathered.silent == {"frozen"}


async def test_a_reply_may_name_others_who_should_answer(plain_bus: Bus) -> None:
    expected = {"a"}

    def heard(name: str, _: Msg) -> None:
        if name == "a":
            expected.add("late")

    async with answering(plain_bus, "a", "late"):
        gathered = await ask(plain_bus, expected, on_reply=heard)
    assert gathered.replies.keys() == {"a", "late"}


async def test_each_participant_counts_once_however_often_it_answers(plain_bus: Bus) -> None:
    heard: list[str] = []
    async with answering(plain_bus, "a", count=3), answering(plain_bus, "b"):
        await ask(plain_bus, {"a", "b"}, on_reply=lambda name, _: heard.append(name))
    assert sorted(heard) == ["a", "b"]


async def test_those_hoped_for_are_gathered_and_never_silent(plain_bus: Bus) -> None:
    async with answering(plain_bus, "a", "extra"):
        gathered = await ask(plain_bus, {"a"}, hoped={"extra", "absent"})
    assert gathered.replies.keys() == {"a", "extra"}
    assert gathered.silent == set()


async def test_a_reply_that_cannot_be_read_is_left_out(plain_bus: Bus) -> None:
    async with answering(plain_bus, "garbage", "a"):
        gathered = await ask(plain_bus, {"a"})
    assert gathered.replies.keys() == {"a"}


async def test_without_any_listener_all_are_silent_at_once(plain_bus: Bus) -> None:
    gathered = await ask(plain_bus, {"a"})
    assert gathered.silent == {"a"}


async def test_without_anybody_expected_it_ends_at_once(plain_bus: Bus) -> None:
    assert (await ask(plain_bus, set())).replies == {}


async def test_a_late_reply_is_heard_by_nobody(plain_bus: Bus) -> None:
    heard: list[str] = []
    questions: list[Msg] = []

    async def late(msg: Msg) -> None:
        questions.append(msg)

    subscription = await plain_bus.subscribe(f"{SUBJECT}.{plain_bus.lattice}", late)
    await ask(plain_bus, {"late"}, timeout_ms=100, on_reply=lambda name, _: heard.append(name))
    (question,) = questions
    with pytest.raises(Unavailable):
        await plain_bus.request(question.reply, b"late", timeout_ms=5_000)
    assert heard == []
    await subscription.close()
