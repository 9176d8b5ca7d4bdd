"""A provider of messaging, components linked to it, and their streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from message_streams import DEAD, ORDERS, make_stream

from lath.bus import Bus
from lath.server import Server
from lath.testing.messaging import Components, Sends
from lath.testing.provider import ProviderTest
from lath_providers.messaging_nats import MessagingNats


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
