"""The streams that messaging is tested with, and what the server says of them."""

from __future__ import annotations

from typing import Any

from lath.bus import Bus, jetstream
from lath.model import LinkSelector
from lath.testing import eventually
from lath.testing.provider import ProviderTest

ORDERS, DEAD = "ORDERS", "DEAD"
STREAM = {"stream": ORDERS, "subscriptions": "orders.>", "backoff_ms": "1"}
GIVE_UP = {**STREAM, "deliveries_max": "3", "dead_letter_subject": "dead.orders"}


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
