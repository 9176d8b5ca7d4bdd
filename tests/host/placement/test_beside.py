"""Calls between components and providers of one host: what the bus would do for them happens all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import guests
import pytest
from placed_guests import ECHO, FRONT
from words_provider import Words

from lath import telemetry
from lath.errors import LinkNotFound
from lath.model import LinkSelector
from lath.provider import Call, Link, operation
from lath.provider.instance import ProviderInstance
from lath.telemetry import TraceContext
from lath.telemetry.tracetree import read_traces
from lath.testing import eventually
from lath_host.providers.builtin import BuiltinProvider
from lath_host.testing import InProcessLattice

CALLER = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "")


@pytest.fixture(autouse=True)
def _words_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "words-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[lath.providers]\nwords = words_provider:Words\n")
    monkeypatch.syspath_prepend(str(tmp_path))


class Elsewhere(Words):
    """Tells that it is another instance."""

    @operation("test:words/echo")
    async def say(self, call: Call[str], text: str) -> str:
        return f"elsewhere:{text}"


@asynccontextmanager
async def builtin_words(lattice: InProcessLattice) -> AsyncIterator[ProviderInstance]:
    """front with a link to words, which runs inside its host."""
    host = lattice.hosts[0]
    async with lattice.events() as events:
        fields = {"provider_id": "words", "provider_ref": "builtin:words", "host_id": host.id}
        assert (await lattice.ask("provider", "start", host.id, **fields)).success
        await events.wait("provider_started", provider_id="words")
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "words", ECHO)
    running = host.services.providers._running["words"]
    assert isinstance(running, BuiltinProvider) and running._instance is not None
    yield running._instance


async def test_what_an_instance_beside_refused_is_tried_at_another(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    async with builtin_words(lattice) as beside:
        assert await lattice.call("front", FRONT, "say", "x") == "p:x"
        async with ProviderInstance(Elsewhere(), lattice.bus, provider_id="words") as other:
            await eventually(lambda: len(lattice.hosts[0].services.presence.instances("words")) == 2)
            await eventually(lambda: len(other.held(LinkSelector())) == 1)
            await beside.purge(LinkSelector(), hold=True)
            for _ in range(3):
                assert await lattice.call("front", FRONT, "say", "x") == "elsewhere:x"
        # it has gone: the first failure is the answer, as over the bus
        await eventually(lambda: len(lattice.hosts[0].services.presence.instances("words")) == 1)
        error = await lattice.failure("front", FRONT, "say", "x")
        assert error.kind == "trap" and "link_failed" in error.message and "purged" in error.message


async def test_a_provider_beside_is_told_the_id_of_the_call(
    lattice_in_process: InProcessLattice, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def say(self: Words, call: Call[str], text: str) -> str:
        seen.append(call.call_id)
        return text

    async with builtin_words(lattice_in_process) as beside:
        found = beside._provider.operations["test", "words", "echo", "say"]
        monkeypatch.setattr(type(beside._provider), found.attribute, say)
        for _ in range(2):
            await lattice_in_process.call("front", FRONT, "say", "x")
    assert len(set(seen)) == 2 and "" not in seen


async def test_a_provider_beside_has_the_span_of_one_that_is_called_over_the_bus(
    lattice_in_process: InProcessLattice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lattice = lattice_in_process
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    async with builtin_words(lattice) as beside:
        await asyncio.to_thread(telemetry.setup, "beside")
        try:
            with telemetry.use(CALLER):
                assert await lattice.call("front", FRONT, "say", "x") == "p:x"
        finally:
            await asyncio.to_thread(telemetry.shutdown)
        client, server = (await asyncio.to_thread(read_traces, tmp_path))[CALLER.trace_id].spans()[2:]
        assert (client.name, client.kind, server.kind) == ("test:words/echo.say", "client", "server")
        for span in (client, server):
            assert span.attributes["lath.instance"] == beside.instance_id
            assert (span.attributes["lath.source"], span.attributes["lath.target"]) == ("front", "words")


async def test_calls_in_a_circle_end_by_their_limits_not_by_pythons(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    circle = guests.relay(exported=ECHO, imported=ECHO)
    limits = {"queue_max": 0, "warm_instances": 0, "memory_bytes_max": 1024 * 1024}
    event = await lattice.start_component("circle", circle, count=300, component_limits=limits)
    assert event.name == "component_scaled", event.data
    await lattice.link("circle", "circle", ECHO)
    error = await lattice.failure("circle", ECHO, "say", "x", timeout_ms=60_000)
    assert error.kind == "trap" and "overloaded" in error.message, error.message
    component = lattice.hosts[0].services.components.get("circle")
    await eventually(lambda: (component.describe().stats or {})["running"] == 0)


async def test_a_provider_beside_calls_a_component_without_the_bus(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    async with builtin_words(lattice) as beside:
        await lattice.start_component("echo", guests.echo(tag="e:"))
        record = await lattice.link("words", "echo", ECHO)
        await beside.settled(record.key, record.revision)
        link = Link.of(record, "words")
        served = lattice.hosts[0].services.components.get("echo")._server.stats
        assert await beside.call(link, "test:words/echo", "say", "x") == "e:x"
        assert served.requests == 0
        with pytest.raises(LinkNotFound):
            await beside.call(
                Link.of(record.model_copy(update={"name": "other"}), "words"), "test:words/echo", "say", "x"
            )


async def test_what_a_component_beside_has_no_room_for_a_provider_asks_elsewhere(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    async with builtin_words(lattice) as beside:
        (other,) = await lattice.add_hosts(1)
        full = {"count": 1, "component_limits": {"queue_max": 0}}
        await lattice.start_component("echo", guests.echo(tag="e:"), **full)
        here = lattice.hosts[0].services.components.get("echo")
        looping = asyncio.create_task(lattice.call("echo", ECHO, "loop", "", timeout_ms=60_000))
        await eventually(lambda: here._stats().running == 1)
        await lattice.start_component("echo", guests.echo(tag="e:"), host=other, **full)
        record = await lattice.link("words", "echo", ECHO)
        await beside.settled(record.key, record.revision)
        await eventually(lambda: len(lattice.hosts[0].services.presence.instances("echo")) == 2)
        assert await beside.call(Link.of(record, "words"), "test:words/echo", "say", "x") == "e:x"
        assert other.services.components.get("echo")._server.stats.requests == 1
        looping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looping
        await eventually(lambda: here._stats().running == 0)
