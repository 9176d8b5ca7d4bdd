"""HTTP requests of providers reach components: in the same process, and on another host, alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asking_provider import Asking
from http_components import ECHO, HELLO
from http_served import chunks, whole

from lath.bus import Bus
from lath.http import HttpRequest, HttpResponse
from lath.provider import Link, ProviderInstance
from lath.testing import eventually
from lath_host import Host
from lath_host.components.component import Component
from lath_host.engine.http.bodies import PIPE_BYTES_MAX
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
    """

    lattice: InProcessLattice
    provider: ProviderInstance

    @property
    def host(self) -> Host:
        return self.lattice.hosts[-1]

    async def serve(self, source: bytes, **scale: Any) -> Link:
        """Places a component and links the provider to it."""
        event = await self.lattice.start_component("site", source, host=self.host, **scale)
        assert event.name == "component_scaled", event.data
        return await self.link()

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


@pytest.fixture(params=["beside", "over the bus"])
async def way(
    request: pytest.FixtureRequest,
    lattice_in_process: InProcessLattice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Way]:
    lattice = lattice_in_process
    if request.param == "beside":
        yield Way(lattice, await built_in(lattice, tmp_path, monkeypatch))
        return
    await lattice.add_hosts(1)
    async with (
        await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="web") as bus,
        ProviderInstance(Asking(), bus, provider_id="web") as provider,
    ):
        yield Way(lattice, provider)


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


async def test_a_component_says_hello(way: Way) -> None:
    link = await way.serve(HELLO)
    response = await way.ask(link)
    assert response.status == 200 and response.headers == []
    assert await whole(response) == b"hello"
    await eventually(lambda: way.running == 0)


@pytest.mark.parametrize("size", [0, 1, 65_537, PIPE_BYTES_MAX, PIPE_BYTES_MAX + 1, 3 * MIB + 17])
async def test_a_body_of_every_size_comes_back_whole(way: Way, size: int) -> None:
    link = await way.serve(ECHO)
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    response = await way.ask(link, method="POST", body=chunks(body))
    assert await whole(response) == body
    await eventually(lambda: way.running == 0)


async def test_a_body_of_20_mib_streams_with_back_pressure(way: Way) -> None:
    link = await way.serve(ECHO)
    piece, count = bytes(range(256)) * 1024, 80
    sent = received = ahead = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(count):
            sent += len(piece)
            yield piece

    response = await way.ask(link, method="POST", body=body())
    async for chunk in response.body:
        at = received % len(piece)
        assert chunk == (piece * 2)[at : at + len(chunk)]
        received += len(chunk)
        ahead = max(ahead, sent - received)
    assert received == count * len(piece)
    assert ahead <= 4 * MIB
