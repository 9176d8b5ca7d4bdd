"""A schedule, and who it calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pytest_asyncio import fixture
from schedule_office import Office

from lath.bus import Bus
from lath.server import Server
from lath.testing.provider import ProviderTest


@fixture
async def office(bus: Bus, nats_server: Server) -> AsyncIterator[Office]:
    office = Office(bus, nats_server.url)
    await office.ledger.make(1)
    async with ProviderTest(bus, office.clerk, provider_id="clerk"):
        yield office
        office.clerk.free.set()
