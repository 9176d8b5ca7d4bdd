"""The two ways of HTTP requests from a provider to a component: in the same process, and over the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asking_provider import Asking
from http_python_guest import build_http_guest

from lath.bus import Bus
from lath.http import HttpRequest, HttpResponse
from lath.provider import Link, ProviderInstance
from lath_host import Host
from lath_host.components.component import Component
from lath_host.engine import Engine
from lath_host.providers.builtin import BuiltinProvider
from lath_host.testing import InProcessLattice

HANDLER = "wasi:http/incoming-handler"


MIB = 1 << 20


@dataclass
class Way:
    """How requests get from the provider `web` to components.

    Attributes:
        lattice: With the host of the components, its last.
        provider: Who asks.
        engine: Of the hosts.
    """

    lattice: InProcessLattice
    provider: ProviderInstance
    engine: Engine

    @property
    def host(self) -> Host:
        return self.lattice.hosts[-1]

    async def serve(self, source: str | bytes | Path, **scale: Any) -> Link:
        """Places a component and links the provider to it."""
        event = await self.lattice.start_component("site", source, host=self.host, **scale)
        assert event.name == "component_scaled", event.data
        return await self.link()

    async def serve_python(self, **scale: Any) -> Link:
        """Likewise the Python component of `http_python_guest`, whose paths are its functions."""
        guest = build_http_guest()
        await self.engine.compile(guest)  # for the first test that takes it: half a minute
        return await self.serve(guest, **scale)

    async def link(self) -> Link:
        record = await self.lattice.link("web", "site", HANDLER)
        await self.provider.settled(record.key, record.revision)
        return Link.of(record, "web")

    @property
    def component(self) -> Component:
        return self.host.services.components.get("site")

    @property
    def running(self) -> int:
        return self.component._stats().running

    async def ask(self, link: Link, *, timeout_ms: int = 10_000, **request: Any) -> HttpResponse:
        return await self.provider.http(link, HttpRequest(**request), timeout_ms=timeout_ms)


async def endless(*pieces: bytes) -> AsyncIterator[bytes]:
    """A body that begins, and then does not go on."""
    for piece in pieces:
        yield piece
    await asyncio.Event().wait()


@pytest.fixture(params=["beside", "over the bus"])
async def way(
    request: pytest.FixtureRequest,
    lattice_in_process: InProcessLattice,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Way]:
    lattice = lattice_in_process
    if request.param == "beside":
        yield Way(lattice, await built_in(lattice, tmp_path, monkeypatch), engine)
        return
    await lattice.add_hosts(1)
    async with (
        await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="web") as bus,
        ProviderInstance(Asking(), bus, provider_id="web") as provider,
    ):
        yield Way(lattice, provider, engine)


async def built_in(
    lattice: InProcessLattice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ProviderInstance:
    metadata = tmp_path / "asking-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: asking\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[lath.providers]\nasking = asking_provider:Asking\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    host = lattice.hosts[0]
    async with lattice.events() as events:
        fields = {"provider_id": "web", "provider_ref": "builtin:asking", "host_id": host.id}
        assert (await lattice.ask("provider", "start", host.id, **fields)).success
        await events.wait("provider_started", provider_id="web")
    running = host.services.providers._running["web"]
    assert isinstance(running, BuiltinProvider) and running._instance is not None
    return running._instance
