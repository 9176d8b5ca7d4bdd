"""A publish that is to be acknowledged returns once a stream has the message."""

from __future__ import annotations

import pytest
from message_streams import ORDERS, make_stream, stored

from lath.bus import Bus
from lath.provider import OpError
from lath.testing.messaging import Components, Sends


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
