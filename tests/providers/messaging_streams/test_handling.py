"""Messages from streams: acknowledged once handled, again where not."""

from __future__ import annotations

import asyncio

import pytest
from message_streams import DEAD, GIVE_UP, ORDERS, STREAM, all_active, consumer, settled, stored

from lath.bus import Bus
from lath.codec import Record
from lath.provider import OpError
from lath.testing import eventually
from lath.testing.messaging import Components, Sends
from lath.testing.provider import ProviderTest
from lath_providers.messaging_nats import pull


async def test_messages_are_acknowledged_once_the_component_has_returned(
    components: Components, app: Sends, bus: Bus
) -> None:
    for number in range(3):
        await app.publish(f"orders.{number}", b"%d" % number)
    name, inbox = await components.inbox()
    go_on = asyncio.Event()

    async def wait(message: Record) -> None:
        await go_on.wait()

    inbox.on_message = wait
    await components.feed(name, **STREAM)
    await inbox.has(b"0", b"1", b"2")
    assert (await consumer(bus))["num_ack_pending"] == 3
    go_on.set()
    await settled(bus, acknowledged=3)
    assert len(inbox.messages) == 3


async def test_only_what_is_subscribed_to_comes(components: Components, app: Sends) -> None:
    inbox = await components.taker("orders.new, orders.*.urgent", stream=ORDERS)
    for subject in ("orders.old", "orders.new", "orders.a.urgent", "orders.a.b"):
        await app.publish(subject, subject.encode())
    await inbox.has(b"orders.new", b"orders.a.urgent")


async def test_a_message_comes_again_after_a_failure_and_later_each_time(
    components: Components, app: Sends, bus: Bus
) -> None:
    inbox = await components.taker(**{**STREAM, "backoff_ms": "1,50,100"})
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def fail(message: Record) -> None:
        times.append(loop.time())
        if len(times) < 4:
            raise OpError("not yet")

    inbox.on_message = fail
    await app.publish("orders.new", b"1")
    await settled(bus, acknowledged=1)
    assert len(times) == 4
    assert times[2] - times[1] >= 0.04
    assert times[3] - times[2] >= 0.08


async def test_messages_wait_for_a_component_that_is_away_and_use_up_no_delivery(
    components: Components, app: Sends, bus: Bus
) -> None:
    await components.feed("late", **{**GIVE_UP, "deliveries_max": "1"})
    await app.publish("orders.new", b"1")

    async def held() -> bool:
        return (await consumer(bus))["num_ack_pending"] == 1

    await eventually(held)
    _, inbox = await components.inbox("late")
    await inbox.has(b"1")
    await settled(bus, acknowledged=1)
    assert await stored(bus, DEAD) == 0


async def test_a_component_that_keeps_all_that_may_be_held_for_long_does_not_look_like_a_dead_server(
    components: Components, app: Sends, bus: Bus, running: ProviderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "HEARTBEAT_S", 0.1)
    inbox = await components.taker(**STREAM, in_flight_max="1", concurrency_max="1")
    active: list[bool] = []

    async def work(message: Record) -> None:
        with monkeypatch.context() as impatient:
            impatient.setattr(pull, "SILENT_S", 0.0)
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.5)
        active.append(all_active(running))

    inbox.on_message = work
    await app.publish("orders.new", b"1")
    await settled(bus, acknowledged=1)
    assert active == [True]


async def test_a_component_may_take_longer_than_the_server_waits(
    components: Components, app: Sends, bus: Bus
) -> None:
    inbox = await components.taker(**STREAM, ack_wait_ms="2000", concurrency_max="1")
    loop = asyncio.get_running_loop()

    async def work(message: Record) -> None:
        if message.subject == "orders.slow":
            await asyncio.wait([loop.create_future()], timeout=3)

    inbox.on_message = work
    await app.publish("orders.slow", b"1")
    await app.publish("orders.waits", b"2")
    await settled(bus, acknowledged=2)
    assert inbox.bodies == [b"1", b"2"]


async def test_no_more_are_held_than_the_link_says(components: Components, app: Sends, bus: Bus) -> None:
    inbox = await components.taker(**STREAM, in_flight_max="10", concurrency_max="2")
    go_on = asyncio.Event()

    async def wait(message: Record) -> None:
        await go_on.wait()

    inbox.on_message = wait
    for number in range(40):
        await app.publish("orders.new", b"%d" % number)

    async def full() -> bool:
        info = await consumer(bus)
        assert (info["num_ack_pending"], info["num_pending"]) == (10, 30)
        return True

    await eventually(full)
    go_on.set()
    await settled(bus, acknowledged=40)
    assert inbox.most_at_once == 2
    assert len(inbox.messages) == 40
