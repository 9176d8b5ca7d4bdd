"""Links that take from streams: their consumers, their settings, their ends."""

from __future__ import annotations

import asyncio

import pytest
from message_streams import ORDERS, STREAM, consumer, settled

from lath.bus import Bus, jetstream
from lath.codec import Record
from lath.errors import LinkFailed
from lath.model import LinkSelector
from lath.server import Server
from lath.testing import eventually
from lath.testing.messaging import Components, Sends
from lath.testing.provider import ProviderTest
from lath_providers.messaging_nats import MessagingNats


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"stream": "NOWHERE"}, "no stream NOWHERE"),
        ({"stream": "a.b"}, "stream"),
        ({"stream": "", "ack_wait_ms": "1000"}, "ack_wait_ms, backoff_ms: given without stream"),
        ({"queue_group": "workers"}, "queue_group"),
        ({"deliveries_max": "3"}, "dead_letter_subject"),
        ({"dead_letter_subject": "dead.orders"}, "deliveries_max"),
        ({"deliveries_max": "3", "dead_letter_subject": "orders.dead"}, "dead_letter_subject"),
        ({"deliveries_max": "3", "dead_letter_subject": "not.kept"}, "no stream .* takes not.kept"),
        ({"deliveries_max": "3", "dead_letter_subject": "$JS.API.X"}, "belongs to the lattice"),
        ({"backoff_ms": "soon"}, "backoff_ms"),
        ({"in_flight_max": "0"}, "in_flight_max"),
        ({"consumer": "a b"}, "consumer"),
        ({"start": "yesterday"}, "start"),
        ({"stream": "KV_lath-links-x", "subscriptions": "$KV.>"}, "belongs to the lattice"),
    ],
)
async def test_a_wrong_value_fails_the_link_naming_it(
    components: Components, config: dict[str, str], named: str
) -> None:
    with pytest.raises(LinkFailed, match=named):
        await components.feed("nobody", **{**STREAM, **config})


async def test_a_consumer_keeps_its_place_when_its_link_is_opened_again_with_other_settings(
    components: Components, app: Sends, bus: Bus
) -> None:
    name, inbox = await components.inbox()
    await components.feed(name, **STREAM)
    await app.publish("orders.new", b"1")
    await settled(bus, acknowledged=1)
    await components.feed(name, **STREAM, start="new", ack_wait_ms="5000")
    await app.publish("orders.new", b"2")
    await settled(bus, acknowledged=2)
    assert inbox.bodies == [b"1", b"2"]
    assert (await consumer(bus))["config"]["ack_wait"] == 5_000_000_000


async def test_a_new_consumer_may_begin_with_what_is_new(
    components: Components, app: Sends, bus: Bus
) -> None:
    await app.publish("orders.old", b"old")
    inbox = await components.taker(**STREAM, start="new", consumer="fresh")
    await app.publish("orders.new", b"new")
    await inbox.has(b"new")
    assert (await consumer(bus))["name"] == "fresh"


async def test_a_deleted_consumer_fails_the_link_which_makes_another(
    components: Components, app: Sends, bus: Bus
) -> None:
    inbox = await components.taker(**STREAM, start="new")
    name = (await consumer(bus))["name"]
    await jetstream.call(bus, f"CONSUMER.DELETE.{ORDERS}.{name}")

    async def again() -> bool:
        return bool((await jetstream.call(bus, f"CONSUMER.NAMES.{ORDERS}"))["consumers"])

    await eventually(again)
    await eventually(
        lambda: {each.state for each in components.test.instance.held(LinkSelector())} == {"active"}
    )
    await app.publish("orders.new", b"1")
    await inbox.has(b"1")


async def test_a_draining_provider_finishes_its_work_and_hands_the_rest_back(
    components: Components, app: Sends, bus: Bus
) -> None:
    inbox = await components.taker(**STREAM, concurrency_max="1")
    go_on = asyncio.Event()

    async def wait(message: Record) -> None:
        await go_on.wait()

    inbox.on_message = wait
    for number in range(5):
        await app.publish("orders.new", b"%d" % number)

    async def all_held() -> bool:
        return (await consumer(bus))["num_ack_pending"] == 5

    async def one_asks() -> bool:
        return (await consumer(bus))["num_waiting"] > 0

    await eventually(all_held)
    await eventually(lambda: inbox.messages)
    await eventually(one_asks)
    draining = asyncio.create_task(components.test.provider.drain())

    async def nobody_asks() -> bool:
        return not await one_asks()

    await eventually(nobody_asks)
    assert await all_held()
    go_on.set()
    await draining
    assert inbox.bodies == [b"0"]
    info = await consumer(bus)
    assert info["ack_floor"]["stream_seq"] == 1
    assert info["num_waiting"] == 0


async def test_instances_share_a_consumer(
    components: Components, app: Sends, bus: Bus, nats_server: Server
) -> None:
    async with ProviderTest(bus, MessagingNats(), nats_url=nats_server.url) as second:
        name, inbox = await components.inbox()
        link = await components.feed(name, **STREAM, in_flight_max="4")
        assert (await second.settled(link)).state == "active"
        bodies = [b"%d" % number for number in range(60)]
        for body in bodies:
            await app.publish("orders.new", body)
        await settled(bus, acknowledged=60)
        assert inbox.bodies == sorted(bodies)


async def test_a_closed_link_hands_back_what_is_in_work_after_a_grace(
    components: Components, app: Sends, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lath_providers.messaging_nats.provider.CLOSE_GRACE_S", 0.05)
    name, inbox = await components.inbox()

    async def hang(message: Record) -> None:
        await asyncio.Event().wait()

    inbox.on_message = hang
    await components.feed(name, **STREAM)
    await app.publish("orders.new", b"1")
    await eventually(lambda: inbox.messages)
    inbox.on_message = None
    await components.test.instance.purge(LinkSelector(name=name), hold=False)
    await settled(bus, acknowledged=1)
    assert inbox.bodies == [b"1", b"1"]
