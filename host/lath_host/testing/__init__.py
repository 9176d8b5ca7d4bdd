"""Pytest fixtures for hosts: `pytest_plugins = ["lath_host.testing"]`.

Fixtures:
    engine: one engine for the test; hosts of one process share it, and what is compiled is cached on disk.
    presence_ttl_ms: how long presence holds there; a test module may override it.
    hosts: makes hosts in this event loop, on the test's own nats-server: `await hosts(2)`.
    host: one host.
    lattice_in_process: a lattice with one host, and a client that calls and asks; it makes more hosts.

`InProcessLattice` places components, calls them and asks the control interface.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_asyncio import fixture as async_fixture

from lath.bus import Bus
from lath.model import PRESENCE_TTL_MS
from lath.server import Server
from lath_host import Host, HostOptions
from lath_host.engine.engine import Engine
from lath_host.testing.lattice import InProcessLattice
from lath_host.testing.process import HostProcess

CACHE_DIR = Path(tempfile.gettempdir()) / "lath-test-compiled"
"""Compiling is the slow part of a test; the cache goes by the component's digest, so it is never stale."""

HostFactory = Callable[..., Awaitable[list[Host]]]


@pytest.fixture
def presence_ttl_ms() -> int:
    """How long presence holds. Override it where a test waits for an end of it, without providers."""
    return PRESENCE_TTL_MS


@async_fixture
async def engine() -> AsyncIterator[Engine]:
    """The engine that the test's hosts share."""
    async with Engine(cache_dir=CACHE_DIR) as shared:
        yield shared


@async_fixture
async def hosts(
    nats_server: Server, lattice: str, engine: Engine, presence_ttl_ms: int
) -> AsyncIterator[HostFactory]:
    """What makes hosts, by a count and options of `HostOptions`; all of them stop after the test."""
    running: list[Host] = []

    async def make(count: int = 1, **options: Any) -> list[Host]:
        made = []
        for _ in range(count):
            chosen = {
                "nats_url": nats_server.url,
                "lattice": lattice,
                "drain_ms": 2_000,
                "presence_ttl_ms": presence_ttl_ms,
                **options,
            }
            host = Host(HostOptions(**chosen), engine=engine)
            await host.start()
            running.append(host)
            made.append(host)
        return made

    yield make
    for host in running:
        await host.stop()


@async_fixture
async def host(hosts: HostFactory) -> Host:
    """One host."""
    return (await hosts(1))[0]


@async_fixture
async def lattice_in_process(
    nats_server: Server, lattice: str, hosts: HostFactory
) -> AsyncIterator[InProcessLattice]:
    """A lattice with one host; `await lattice_in_process.add_hosts(2)` makes more."""
    bus = await Bus.connect(nats_server.url, lattice=lattice, name="test client")
    async with bus, InProcessLattice(bus, nats_server, hosts) as made:
        await made.add_hosts(1)
        yield made


__all__ = [
    "HostFactory",
    "HostProcess",
    "InProcessLattice",
    "engine",
    "host",
    "hosts",
    "lattice_in_process",
    "presence_ttl_ms",
]
