"""Servers, providers and connections that die lose nothing that was acknowledged."""

from __future__ import annotations

import asyncio

import pytest
from message_streams import (
    GIVE_UP,
    ORDERS,
    STREAM,
    all_active,
    consumer,
    dead_letter,
    make_stream,
    settled,
    stored,
)
from nats_backend import PASSWORD, USER, NatsBackend

from lath.bus import Bus, jetstream
from lath.codec import Record
from lath.errors import LathError
from lath.model import LinkSelector
from lath.provider import OpError
from lath.server import Server
from lath.testing import eventually
from lath.testing.messaging import Components, Sends
from lath.testing.process import ProviderProcess
from lath.testing.provider import ProviderTest
from lath_providers.messaging_nats import MessagingNats


async def test_a_server_that_dies_and_comes_back_loses_nothing_acknowledged(
    components: Components, running: ProviderTest
) -> None:
    async with Server() as server:
        async with await Bus.connect(server.url, lattice="elsewhere", name="test") as there:
            await make_stream(there, ORDERS, "orders.>")
        app = await components.sender(url=server.url)
        name, inbox = await components.inbox()
        await components.feed(name, **STREAM, url=server.url, ack_wait_ms="500")
        acknowledged: set[bytes] = set()

        async def publish() -> None:
            for number in range(400):
                body = b"%d" % number
                try:
                    await app.publish("orders.new", body)
                except (OpError, LathError):
                    await eventually(lambda: all_active(running), 30)
                else:
                    acknowledged.add(body)

        publishing = asyncio.create_task(publish())
        for count in (40, 120):
            await eventually(lambda count=count: len(acknowledged) > count or publishing.done())
            await server.kill()
            await server.start()
        await publishing
        await eventually(lambda: acknowledged <= set(inbox.bodies), 30)
        assert acknowledged


async def test_a_publish_whose_word_was_lost_is_sent_again_and_stored_once(
    components: Components, running: ProviderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lath_providers.messaging_nats.sender.STORE_MS", 50)
    backend = NatsBackend("lath-messaging ")
    async with backend.server, await backend.bus() as there:
        await make_stream(there, ORDERS, "orders.>")
        app = await components.sender(url=backend.url, user=USER, password=PASSWORD)
        await app.publish("orders.new", b"0")
        await backend.freeze()
        publishing = asyncio.create_task(app.publish("orders.new", b"1"))
        await asyncio.wait({publishing}, timeout=0.5)  # long enough to be sent again
        assert not publishing.done()
        await backend.thaw()
        await publishing
        assert await stored(there, ORDERS) == 2


async def test_a_provider_that_is_killed_loses_no_message_that_it_holds(
    components: Components, app: Sends, bus: Bus, nats_server: Server
) -> None:
    name, inbox = await components.inbox()
    stuck = asyncio.Event()

    async def hang(message: Record) -> None:
        stuck.set()
        await asyncio.Event().wait()

    inbox.on_message = hang
    module = "lath_providers.messaging_nats"
    async with ProviderProcess(bus, nats_server.url, module, MessagingNats()) as process:
        for number in range(20):
            await app.publish("orders.new", b"%d" % number)
        config = {**STREAM, "ack_wait_ms": "500", "concurrency_max": "5"}
        await components.put_feed(name, source=process.id, **config)
        async with asyncio.timeout(30):
            await stuck.wait()
        await process.kill()
        inbox.on_message = None
        await process.start()
        await settled(bus, acknowledged=20)
        assert {b"%d" % number for number in range(20)} == set(inbox.bodies)


async def test_what_its_last_delivery_left_unanswered_is_a_dead_letter_and_not_tried_again(
    components: Components, app: Sends, bus: Bus
) -> None:
    name, inbox = await components.inbox()
    await components.feed(name, **GIVE_UP)
    held = await consumer(bus)
    await components.test.instance.purge(LinkSelector(name=name), hold=True)
    await app.publish("orders.new", b"1")
    for _ in range(3):  # as providers do that die each time
        pulling = f"{jetstream.API}CONSUMER.MSG.NEXT.{ORDERS}.{held['name']}"
        taken = await bus.nc.request(pulling, b"1", timeout=5, old_style=True)
        await bus.publish(taken.reply, b"-NAK")
    await components.test.instance.pull(LinkSelector(name=name))
    await settled(bus, acknowledged=1)
    assert inbox.messages == []
    assert (await dead_letter(bus)).headers["Lath-Dead-Deliveries"] == "4"


async def test_a_confirmed_acknowledgement_is_waited_for(
    components: Components, app: Sends, bus: Bus
) -> None:
    inbox = await components.taker(**STREAM, ack_confirmed="true")
    for number in range(20):
        await app.publish("orders.new", b"%d" % number)
    await settled(bus, acknowledged=20)
    assert len(inbox.messages) == 20


def test_the_reply_of_a_delivery_says_how_often_it_came() -> None:
    found = jetstream.delivery("$JS.ACK.s.c.3.7.9.1700000000000000000.2")
    assert found is not None
    assert (found.deliveries, found.stream_sequence, found.consumer_sequence) == (3, 7, 9)
