"""Must hold 8: one trace over hosts, links and labels; without an exporter no span, and the trace goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import guests
from whole_lattice import FRONT, WholeLattice

from lath import telemetry
from lath.telemetry import TraceContext
from lath.telemetry.tracetree import read_traces

MIDDLE = "test:words/middle@1.0.0"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = TraceContext(f"00-{TRACE_ID}-b7ad6b7169203331-01", "vendor=1,other=a:b")


async def chain(lattice: WholeLattice) -> None:
    """front --(link `far`, by an implements label)--> middle --(link)--> words, each in another process."""
    await lattice.provider("words", host=0)
    await lattice.component("front", guests.relay(exported=FRONT, imported=MIDDLE, label="far"), host=0)
    await lattice.component("middle", guests.relay(exported=MIDDLE), host=1)
    await lattice.link("front", "middle", MIDDLE, name="far")
    await lattice.link("middle", "words")


def imported_by_pid(folder: Path) -> dict[int, list[str]]:
    return {int(file.stem): file.read_text().split() for file in folder.glob("*.modules")}


async def test_without_an_exporter_the_trace_is_forwarded_unchanged_and_nobody_loads_what_makes_spans(
    empty: WholeLattice, tmp_path: Path
) -> None:
    """No span object is made: the module that defines them is not even imported, in hosts and provider.

    Each Python process writes down at its end what it has imported.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, sys\n"
        f"folder = {str(tmp_path)!r}\n"
        "def told():\n"
        "    with open(os.path.join(folder, f'{os.getpid()}.modules'), 'w') as out:\n"
        "        out.write('\\n'.join(sorted(sys.modules)))\n"
        "atexit.register(told)\n"
    )
    lattice = empty
    await lattice.add_hosts(2, env={"PYTHONPATH": str(tmp_path)})
    await chain(lattice)
    with telemetry.use(CALLER):
        told = await lattice.call("front", FRONT, "trace?")
    assert told == f"{CALLER.traceparent} {CALLER.tracestate} middle default no-sdk"
    for host in lattice.hosts:
        await lattice.client.hosts.stop(host.id, wait_ms=20_000)
        assert await host.exited() == 0
    files = imported_by_pid(tmp_path)
    assert {host.pid for host in lattice.hosts} < set(files)  # the provider's too
    for modules in files.values():
        assert "lath.telemetry" in modules
        assert "opentelemetry.sdk.trace" not in modules


async def test_with_an_exporter_the_spans_of_three_processes_are_one_tree(
    empty: WholeLattice, tmp_path: Path
) -> None:
    lattice = empty
    await lattice.add_hosts(2, env={"LATH_TRACE_DIR": str(tmp_path)})
    await chain(lattice)
    with telemetry.use(CALLER):
        assert await lattice.call("front", FRONT, "hello") == "p:hello"
    for host in lattice.hosts:
        await lattice.client.hosts.stop(host.id, wait_ms=20_000)
        assert await host.exited() == 0
    trace = (await asyncio.to_thread(read_traces, tmp_path))[TRACE_ID]
    (root,) = trace.roots
    assert root.parent_id == CALLER.span_id
    spans = [(node.name, node.kind) for node in trace.spans()]
    assert spans == [
        ("test:words/front.say", "server"),
        ("test:words/middle.say", "client"),
        ("test:words/middle.say", "server"),
        ("test:words/echo.say", "client"),
        ("test:words/echo.say", "server"),
    ]
