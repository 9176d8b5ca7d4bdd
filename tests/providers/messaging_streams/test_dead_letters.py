"""Messages that are given up, into a stream that keeps them with the reason."""

from __future__ import annotations

import asyncio

from message_streams import DEAD, GIVE_UP, ORDERS, dead_letter, make_stream, settled, stored

from lath.bus import Bus, jetstream
from lath.codec import Record
from lath.provider import OpError
from lath.testing import eventually
from lath.testing.messaging import Components, Sends


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
