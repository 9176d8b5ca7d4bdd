"""Two connections to a real server: one calls, one serves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from lath.bus import Bus
from lath.server import Server


@pytest_asyncio.fixture
async def caller_bus(shared_nats_server: Server, lattice: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(shared_nats_server.url, lattice=lattice, name="caller") as bus:
        yield bus


@pytest_asyncio.fixture
async def server_bus(shared_nats_server: Server, lattice: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(shared_nats_server.url, lattice=lattice, name="server") as bus:
        yield bus
