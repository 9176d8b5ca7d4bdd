"""Fixtures for tests of the command line and the client: a home of one's own, `lath` as a real process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from lath_command import TEXTSTATS, Lath, run

from lath.server import Server
from lath_control.client import Client
from lath_host.testing import HostFactory, engine, host, hosts, presence_ttl_ms


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Contexts, state and caches of this test alone; nothing of the user's environment."""
    for name in [name for name in os.environ if name.startswith(("LATH_", "OTEL_")) or name == "NO_COLOR"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LATH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def lath(nats_server: Server, lattice: str, monkeypatch: pytest.MonkeyPatch) -> Lath:
    """Runs `lath` on the test's own lattice: `await lath("get", "hosts")`."""
    monkeypatch.setenv("LATH_NATS_URL", nats_server.url)
    monkeypatch.setenv("LATH_LATTICE", lattice)
    return run


@pytest.fixture
async def client(nats_server: Server, lattice: str, hosts: HostFactory) -> Any:
    """A client of a lattice with two hosts in this process, named one and two."""
    await hosts(1, name="one", labels={"zone": "a"})
    await hosts(1, name="two", labels={"zone": "b"})
    async with Client(nats_server.url, lattice=lattice) as connected:
        yield connected


@pytest.fixture
async def textstats(client: Client) -> str:
    """A component, running on host one."""
    await client.components.start(str(TEXTSTATS), component_id="textstats", host="one")
    return "textstats"


__all__ = ["engine", "host", "hosts", "presence_ttl_ms"]
