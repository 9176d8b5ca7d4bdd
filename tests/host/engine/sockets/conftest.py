"""What the tests of sockets share."""

from __future__ import annotations

import asyncio

import pytest
from socket_component import remote_controlled

from lath_host.engine import CompiledComponent, Engine


@pytest.fixture(scope="session")
def socket_guest(engine: Engine) -> CompiledComponent:
    """Does with sockets what it is told; see `socket_guests.telling`."""
    return asyncio.run(engine.compile(remote_controlled()))
