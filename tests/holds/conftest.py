"""Fixtures for what must hold: a lattice of real processes for each test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from whole_lattice import WholeLattice

from lath.server import Server


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's environment reaches the processes of a test."""
    for name in [name for name in os.environ if name.startswith(("LATH_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
async def empty(nats_server: Server, lattice: str) -> AsyncIterator[WholeLattice]:
    """A lattice to which the test adds hosts."""
    async with WholeLattice(nats_server, lattice) as made:
        yield made


@pytest.fixture
async def one_host(empty: WholeLattice) -> WholeLattice:
    """A lattice with one host."""
    await empty.add_hosts(1)
    return empty


@pytest.fixture
async def two_hosts(empty: WholeLattice) -> WholeLattice:
    """A lattice with two hosts."""
    await empty.add_hosts(2)
    return empty
