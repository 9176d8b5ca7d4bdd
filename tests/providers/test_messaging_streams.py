"""Messages from streams: acknowledged once handled, again where not, given up into a stream, none lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats_backend import PASSWORD, USER, NatsBackend

from lath.bus import Bus, jetstream
from lath.codec import Record
from lath.errors import LathError, LinkFailed
from lath.model import LinkSelector
from lath.provider import OpError
from lath.server import Server
from lath.testing import eventually
from lath.testing.messaging import Components, Sends
from lath.testing.process import ProviderProcess
from lath.testing.provider import ProviderTest
from lath_providers.messaging_nats import MessagingNats, pull

ORDERS, DEAD = "ORDERS", "DEAD"
STREAM = {"stream": ORDERS, "subscriptions": "orders.>", "backoff_ms": "1"}
GIVE_UP = {**STREAM, "deliveries_max": "3", "dead_letter_subject": "dead.orders"}


@pytest.fixture
async def running(bus: Bus, nats_server: Server) -> AsyncIterator[ProviderTest]:
    async with ProviderTest(bus, MessagingNats(), nats_url=nats_server.url) as test:
        yield test


@pytest.fixture
async def components(bus: Bus, running: ProviderTest) -> AsyncIterator[Components]:
    async with Components(bus, running, {"acknowledged_publish": "orders.>, dead.>"}, {}) as components:
        yield components


@pytest.fixture
async def app(components: Components) -> Sends:
    return await components.sender()


@pytest.fixture(autouse=True)
async def streams(bus: Bus) -> None:
    await make_stream(bus, ORDERS, "orders.>")
    await make_stream(bus, DEAD, "dead.>")


async def make_stream(bus: Bus, name: str, subject: str, **settings: Any) -> None:
    config = {"name": name, "subjects": [subject], "storage": "file", **settings}
    await jetstream.call(bus, f"STREAM.CREATE.{name}", config)


async def stored(bus: Bus, name: str) -> int:
    """How many messages a stream keeps."""
    return (await jetstream.call(bus, f"STREAM.INFO.{name}"))["state"]["messages"]


async def dead_letter(bus: Bus, sequence: int = 1) -> jetstream.StoredMessage:
    return jetstream.stored_message(await jetstream.call(bus, f"STREAM.MSG.GET.{DEAD}", {"seq": sequence}))


async def consumer(bus: Bus, stream: str = ORDERS) -> dict[str, Any]:
    """What the server says of the only consumer of a stream."""
    names = (await jetstream.call(bus, f"CONSUMER.NAMES.{stream}"))["consumers"]
    assert len(names) == 1
    return await jetstream.call(bus, f"CONSUMER.INFO.{stream}.{names[0]}")


def all_active(running: ProviderTest) -> bool:
    return {each.state for each in running.instance.held(LinkSelector())} == {"active"}


async def settled(bus: Bus, *, acknowledged: int) -> None:
    """Waits until the consumer is through with so many messages, and awaits no answer."""

    async def through() -> bool:
        info = await consumer(bus)
        assert info["num_ack_pending"] == 0
        assert info["ack_floor"]["stream_seq"] == acknowledged
        return True

    await eventually(through)


# --- publishing --------------------------------------------------------------------------------------


async def test_an_acknowledged_publish_returns_once_a_stream_has_it(app: Sends, bus: Bus) -> None:
    for number in range(10):
        await app.publish("orders.new", b"%d" % number)
        assert await stored(bus, ORDERS) == number + 1


async def test_an_acknowledged_publish_that_no_stream_takes_fails_in_words(components: Components) -> None:
    app = await components.sender(acknowledged_publish=">")
    with pytest.raises(OpError, match=r"unavailable: no stream takes .*nowhere\.kept"):
        await app.publish("nowhere.kept")


async def test_an_acknowledged_publish_has_no_reply_subject(app: Sends) -> None:
    with pytest.raises(OpError, match="invalid_argument: reply-to"):
        await app.publish("orders.new", b"", "answers.here")


async def test_a_stream_that_is_full_says_so(bus: Bus, components: Components) -> None:
    await make_stream(bus, "FULL", "full.>", max_msgs=1, discard="new")
    app = await components.sender(acknowledged_publish="full.>")
    await app.publish("full.a")
    with pytest.raises(OpError, match="maximum messages exceeded"):
        await app.publish("full.a")


# --- handling ----------------------------------------------------------------------------------------


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


# --- dead letters ------------------------------------------------------------------------------------


async def test_a_message_that_keeps_failing_is_kept_with_the_reason_and_then_let_go(
    components: Components, app: Sends, bus: Bus
) -> None:
    inbox = await components.taker(**GIVE_UP)

    async def fail(message: Record) -> None:
        if message.body == b"bad":
            raise OpError("no such\r\ncustomer")

    inbox.on_message = fail
    headers = {"Nats-Msg-Id": "m-1", "Nats-Expected-Stream": ORDERS, "Colour": "blue"}
    await jetstream.publish(bus, "orders.new", b"bad", headers=headers)
    await app.publish("orders.new", b"good")
    await settled(bus, acknowledged=2)
    assert inbox.bodies == [b"bad", b"bad", b"bad", b"good"]
    letter = await dead_letter(bus)
    assert (letter.subject, letter.data) == ("dead.orders", b"bad")
    kept = {name: value for name, value in letter.headers.items() if name.startswith("Lath-Dead-")}
    assert kept.pop("Lath-Dead-Consumer").startswith("lath-")
    assert kept == {
        "Lath-Dead-Reason": "no such  customer",
        "Lath-Dead-Subject": "orders.new",
        "Lath-Dead-Stream": ORDERS,
        "Lath-Dead-Sequence": "1",
        "Lath-Dead-Deliveries": "3",
        "Lath-Dead-Msg-Id": "m-1",
    }
    assert letter.headers["Colour"] == "blue"
    assert "Nats-Expected-Stream" not in letter.headers
    assert await stored(bus, DEAD) == 1


async def test_a_message_whose_call_fails_is_a_dead_letter_with_the_kind(
    components: Components, app: Sends, bus: Bus
) -> None:
    inbox = await components.taker(**GIVE_UP, timeout_ms="50")

    async def hang(message: Record) -> None:
        await asyncio.Event().wait()

    inbox.on_message = hang
    await app.publish("orders.new", b"1")
    await settled(bus, acknowledged=1)
    assert (await dead_letter(bus)).headers["Lath-Dead-Reason"].startswith("deadline_exceeded")


async def test_a_dead_letter_that_no_stream_keeps_is_not_let_go(
    components: Components, app: Sends, bus: Bus
) -> None:
    inbox = await components.taker(**GIVE_UP)

    async def fail(message: Record) -> None:
        raise OpError("never")

    inbox.on_message = fail
    await jetstream.call(bus, f"STREAM.DELETE.{DEAD}")
    await app.publish("orders.new", b"1")
    await eventually(lambda: len(inbox.messages) == 3)  # those beyond are not shown to the component
    await make_stream(bus, DEAD, "dead.>")
    await settled(bus, acknowledged=1)
    assert (await dead_letter(bus)).data == b"1"


# --- links -------------------------------------------------------------------------------------------


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


# --- nothing is lost ---------------------------------------------------------------------------------


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
