"""Fixtures for tests of hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from lath_host.testing import (
    HostProcess,
    InProcessLattice,
    engine,
    host,
    hosts,
    lattice_in_process,
    presence_ttl_ms,
)

MakeProcess = Callable[..., Awaitable[HostProcess]]


@pytest.fixture
async def process(lattice_in_process: InProcessLattice, presence_ttl_ms: int) -> AsyncIterator[MakeProcess]:
    """Starts a host as a process of its own, in the lattice of the test."""
    lattice = lattice_in_process
    async with AsyncExitStack() as running:

        async def start(*options: str) -> HostProcess:
            ttl = ("--presence-ttl-ms", str(presence_ttl_ms))
            host = HostProcess(lattice.server.url, lattice.bus.lattice, *ttl, *options)
            await running.enter_async_context(host)
            await host.present(lattice.presence)
            return host

        yield start


__all__ = ["engine", "host", "hosts", "lattice_in_process", "presence_ttl_ms", "process"]
