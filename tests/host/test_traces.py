"""One trace from the first call to the last provider, over hosts, named links and labels."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import guests
import pytest

from lath import telemetry
from lath.telemetry import TraceContext
from lath.telemetry.tracetree import read_traces
from lath.testing import eventually
from lath_host.testing import HostProcess, InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"
MIDDLE = "test:words/middle@1.0.0"
WORDS = (Path(__file__).parents[1] / "support/words_provider.py").as_uri()
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = TraceContext(f"00-{TRACE_ID}-b7ad6b7169203331-01", "vendor=1")


@pytest.fixture
def caller_trace() -> Iterator[None]:
    """The test calls from within a trace."""
    with telemetry.use(CALLER):
        yield


async def chain(lattice: InProcessLattice, first: str, second: str) -> None:
    """front --(link `far`, by an implements label)--> middle --(link)--> words, a provider process."""
    async with lattice.events() as events:
        fields = {"provider_id": "words", "provider_ref": WORDS, "host_id": second}
        assert (await lattice.ask("provider", "start", second, **fields)).success
        await events.wait("provider_started", host_id=second)
    front = guests.relay(exported=FRONT, imported=MIDDLE, label="far")
    for component_id, source, host in (
        ("front", front, first), ("middle", guests.relay(exported=MIDDLE), second),
    ):  # fmt: skip
        event = await lattice.start_component(component_id, source, host=host)
        assert event.name == "component_scaled", event.data
    await lattice.link("front", "middle", MIDDLE, name="far")
    await lattice.link("middle", "words", ECHO)


@pytest.mark.usefixtures("caller_trace")
async def test_without_an_exporter_the_trace_reaches_the_last_provider_over_a_label_and_two_hops(
    lattice_in_process: InProcessLattice,
) -> None:
    """Weakness 13: choosing a link by name broke the propagation of the trace."""
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await chain(lattice, lattice.hosts[0].id, other.id)
    assert not telemetry.recording()
    assert await lattice.call("front", FRONT, "say", "context") == f"middle default {TRACE_ID}"


@pytest.mark.usefixtures("caller_trace")
async def test_calls_on_one_host_keep_the_trace_too(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0].id
    await chain(lattice, host, host)
    assert await lattice.call("front", FRONT, "say", "context") == f"middle default {TRACE_ID}"


@pytest.mark.usefixtures("caller_trace")
async def test_the_spans_of_all_processes_make_one_tree(
    lattice_in_process: InProcessLattice, tmp_path: Path
) -> None:
    lattice = lattice_in_process
    url, name = lattice.server.url, lattice.bus.lattice
    env = {"LATH_TRACE_DIR": str(tmp_path)}
    async with HostProcess(url, name, env=env) as first, HostProcess(url, name, env=env) as second:
        for host in (first, second):
            await host.present(lattice.presence)
        await chain(lattice, first.id, second.id)
        assert await lattice.call("front", FRONT, "say", "hello") == "p:hello"
        for host in (first, second):
            host.signal(signal.SIGTERM)
        assert [await first.exited(), await second.exited()] == [0, 0]
    trace = (await eventually(lambda: asyncio.to_thread(read_traces, tmp_path)))[TRACE_ID]
    (root,) = trace.roots
    found = [(node.name, node.kind) for node in trace.spans()]
    assert found == [
        ("test:words/front.say", "server"),
        ("test:words/middle.say", "client"),
        ("test:words/middle.say", "server"),
        ("test:words/echo.say", "client"),
        ("test:words/echo.say", "server"),
    ]
    assert root.parent_id == CALLER.span_id
    assert len({node.attributes.get("lath.target") for node in trace.spans()}) == 3
