"""Linked components on one host run as one, as long as nothing speaks against it, with the same results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import guests
import pytest
from pytest_asyncio import fixture as async_fixture

from lath import telemetry
from lath.model import ComponentDescription, Link, LinkSelector
from lath.provider import Call, Provider, operation
from lath.provider.instance import ProviderInstance
from lath.telemetry import TraceContext
from lath.telemetry.tracetree import read_traces
from lath.testing import eventually
from lath_host.components import fusion
from lath_host.components.fusion_plan import Member, Plan
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"
MIDDLE = "test:words/middle@1.0.0"
OUTER = "test:words/outer@1.0.0"
REUSE = {"reuse": True}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


class Gate(Provider):
    """Answers `say` once it is opened, with who asked in front."""

    wit = "package test:words@1.0.0; interface echo { say: func(text: string) -> string; }"

    def __init__(self) -> None:
        self.waiting = 0
        self.opened = asyncio.Event()

    @operation("test:words/echo")
    async def say(self, call: Call[None], text: str) -> str:
        self.waiting += 1
        await self.opened.wait()
        return f"{call.source_id}:{text}"


@async_fixture
async def gate(lattice_in_process: InProcessLattice) -> AsyncIterator[Gate]:
    """A provider `gate` on the lattice."""
    made = Gate()
    async with ProviderInstance(made, lattice_in_process.bus, provider_id="gate"):
        yield made


async def start(lattice: InProcessLattice, id_: str, source: str, **options: Any) -> None:
    limits = {**REUSE, **options.pop("limits", {})}
    event = await lattice.start_component(id_, source, component_limits=limits, **options)
    assert event.name == "component_scaled", event.data


async def start_pair(
    lattice: InProcessLattice, *, front: dict[str, Any] | None = None, echo: dict[str, Any] | None = None
) -> Link:
    """front -> echo, which puts `e:` in front; both reuse instances."""
    await start(lattice, "echo", guests.echo(tag="e:"), limits=echo or {})
    await start(lattice, "front", guests.relay(), limits=front or {})
    return await lattice.link("front", "echo", ECHO)


@async_fixture
async def fused_pair(lattice_in_process: InProcessLattice) -> InProcessLattice:
    """A lattice with `start_pair`, which runs as one."""
    await start_pair(lattice_in_process)
    await lattice_in_process.fused("front", "echo")
    return lattice_in_process


async def start_gated(lattice: InProcessLattice, **options: Any) -> Link:
    """front -> middle, fused, -> gate."""
    await start(lattice, "middle", guests.relay(exported=MIDDLE), **options)
    await start(lattice, "front", guests.relay(imported=MIDDLE), **options)
    await lattice.link("middle", "gate", ECHO)
    link = await lattice.link("front", "middle", MIDDLE)
    await lattice.fused("front", "middle")
    return link


def described(lattice: InProcessLattice, id_: str) -> ComponentDescription:
    return lattice.hosts[0].services.components.get(id_).describe()


def calls(lattice: InProcessLattice, id_: str) -> int:
    return (described(lattice, id_).stats or {})["calls"]


async def say(lattice: InProcessLattice, text: str = "x") -> Any:
    return await lattice.call("front", FRONT, "say", text)


# --- when ------------------------------------------------------------------------------------------------


async def test_linked_components_that_reuse_instances_run_as_one(
    fused_pair: InProcessLattice,
) -> None:
    lattice = fused_pair
    assert [await say(lattice) for _ in range(5)] == ["e:x"] * 5
    assert (calls(lattice, "front"), calls(lattice, "echo")) == (5, 0)
    assert await lattice.call("echo", ECHO, "say", "alone") == "e:alone"


async def test_a_chain_runs_as_one(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await start(lattice, "echo", guests.echo(tag="e:"))
    await start(lattice, "middle", guests.relay(exported=MIDDLE))
    await start(lattice, "front", guests.relay(imported=MIDDLE))
    await lattice.link("middle", "echo", ECHO)
    await lattice.link("front", "middle", MIDDLE)
    await lattice.fused("front", "middle", "echo")
    await lattice.fused("middle", "echo")
    assert await say(lattice) == "e:x"
    assert calls(lattice, "middle") == calls(lattice, "echo") == 0


@pytest.mark.parametrize(
    ("front", "echo", "reason"),
    [
        ({"fuse": "never"}, {}, "front was started with fuse: never"),
        ({}, {"fuse": "never"}, "echo was started with fuse: never"),
        ({}, {"timeout_ms": 5000}, "echo has a limit of its own, timeout_ms 5000"),
    ],
)
async def test_where_it_may_not_be_the_inventory_says_why(
    lattice_in_process: InProcessLattice, front: dict[str, Any], echo: dict[str, Any], reason: str
) -> None:
    lattice = lattice_in_process
    await start_pair(lattice, front=front, echo=echo)
    reply = await lattice.ask("host", "get", lattice.hosts[0].id)
    (told,) = (each for each in reply.response["components"] if each["id"] == "front")
    assert told["unfused"] == {"echo": reason}
    assert "fused" not in told
    assert await say(lattice) == "e:x"
    assert calls(lattice, "echo") == 1


async def test_an_instance_that_is_always_fused_lives_as_long_as_its_callers(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start_pair(lattice, front={"reuse": False}, echo={"reuse": False, "fuse": "always"})
    await lattice.fused("front", "echo")
    assert [await say(lattice) for _ in range(3)] == ["e:x"] * 3
    assert calls(lattice, "echo") == 0


async def test_code_that_cannot_be_fused_runs_unfused_and_the_inventory_says_why(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start(lattice, "echo", guests.echo(tag="e:"))
    await start(lattice, "front", f'{guests.relay()[:-2]} (core module $c) (export "c" (core module $c)))')
    await lattice.link("front", "echo", ECHO)
    unfused = await eventually(lambda: described(lattice, "front").unfused)
    assert "core module" in unfused["echo"]
    assert await say(lattice) == "e:x"


# --- whose imports ---------------------------------------------------------------------------------------


async def test_a_part_calls_by_its_own_links(lattice_in_process: InProcessLattice, gate: Gate) -> None:
    lattice = lattice_in_process
    await start_gated(lattice)
    gate.opened.set()
    assert await say(lattice) == "middle:x"
    stats = described(lattice, "middle").stats or {}
    assert stats["bytes_out"] > 0 and stats["calls"] == 0


async def test_a_part_reads_its_own_config(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    for name, value in (("theirs", "callee"), ("ours", "caller")):
        assert (await lattice.ask("config", "put", name, who=value)).success
    await start(lattice, "echo", guests.config_reader(exported=ECHO), config=["theirs"])
    await start(lattice, "front", guests.relay(), config=["ours"])
    await lattice.link("front", "echo", ECHO)
    await lattice.fused("front", "echo")
    assert await say(lattice, "who") == "callee"
    assert calls(lattice, "echo") == 0


async def test_a_trap_ends_the_call_and_no_other(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await start(lattice, "echo", guests.echo(tag="e:"))
    await start(lattice, "front", guests.relay(function="trap"))
    await start(lattice, "other", guests.relay())
    for source in ("front", "other"):
        await lattice.link(source, "echo", ECHO)
        await lattice.fused(source, "echo")
    error = await lattice.failure("front", FRONT, "say", "x")
    assert error.kind == "trap"
    assert await lattice.call("other", FRONT, "say", "x") == "e:x"
    await lattice.fused("front", "echo")


# --- links that change -----------------------------------------------------------------------------------


async def test_by_a_deleted_link_what_runs_finishes_and_nothing_enters(
    lattice_in_process: InProcessLattice, gate: Gate
) -> None:
    lattice = lattice_in_process
    await start_gated(lattice)
    running = [asyncio.ensure_future(say(lattice, str(n))) for n in range(3)]
    await eventually(lambda: gate.waiting == 3)
    await lattice.links.delete("front", "test", "words", "default")
    await eventually(lambda: not described(lattice, "front").fused)
    errors = [await lattice.failure("front", FRONT, "say", "x") for _ in range(3)]
    assert all("link_not_found" in error.message for error in errors), errors
    assert gate.waiting == 3
    gate.opened.set()
    assert await asyncio.gather(*running) == ["middle:0", "middle:1", "middle:2"]


async def test_a_link_that_leads_elsewhere_is_followed_by_the_next_call(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start_pair(lattice)
    await start(lattice, "other", guests.echo(tag="o:"))
    await lattice.fused("front", "echo")
    assert await say(lattice) == "e:x"
    await lattice.links.delete("front", "test", "words", "default")
    await lattice.link("front", "other", ECHO)
    assert await say(lattice) == "o:x"
    await lattice.fused("front", "other")
    assert await say(lattice) == "o:x"


async def test_a_held_link_fails_calls_until_it_is_pulled(fused_pair: InProcessLattice) -> None:
    lattice = fused_pair
    routes = lattice.hosts[0].services.routes
    await routes.purge(LinkSelector(source_id="front"), hold=True)
    error = await lattice.failure("front", FRONT, "say", "x")
    assert "link_failed" in error.message and "purged" in error.message
    assert described(lattice, "front").fused is None
    await routes.pull(LinkSelector())
    assert await say(lattice) == "e:x"
    await lattice.fused("front", "echo")
    assert await say(lattice) == "e:x"


async def test_a_purge_drops_the_instances_that_run_by_the_link(fused_pair: InProcessLattice) -> None:
    lattice = fused_pair
    way = lattice.hosts[0].services.components.get("front").fused_way
    before = way.pool
    await lattice.hosts[0].services.routes.purge(LinkSelector(source_id="front"), hold=False)
    assert way.pool is not before
    assert await say(lattice) == "e:x"
    await lattice.fused("front", "echo")


async def test_a_part_that_gets_a_link_takes_what_it_leads_to_in(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start(lattice, "echo", guests.echo(tag="e:"))
    await start(lattice, "middle", guests.relay(exported=MIDDLE))
    await start(lattice, "front", guests.relay(imported=MIDDLE))
    await lattice.link("front", "middle", MIDDLE)
    await lattice.fused("front", "middle")
    await lattice.link("middle", "echo", ECHO)
    await lattice.fused("front", "middle", "echo")
    assert await say(lattice) == "e:x"


# --- components that change ------------------------------------------------------------------------------


async def test_a_plan_that_cannot_be_made_keeps_no_other_component_fused(
    lattice_in_process: InProcessLattice, monkeypatch: pytest.MonkeyPatch
) -> None:
    lattice = lattice_in_process
    await start_pair(lattice)
    await start(lattice, "side", guests.relay(exported=MIDDLE))
    await lattice.link("side", "echo", ECHO)
    await lattice.fused("front", "echo")
    await lattice.fused("side", "echo")
    make = fusion.plan

    def plan(root: Member, *rest: Any) -> Plan:
        if root.id == "front":
            raise RuntimeError("a defect")
        return make(root, *rest)

    monkeypatch.setattr(fusion, "plan", plan)
    await lattice.start_component("echo", guests.echo(tag="e:"), count=0)
    assert described(lattice, "front").fused is described(lattice, "side").fused is None


async def test_a_stopped_callee_is_not_called_and_one_that_starts_again_is(
    fused_pair: InProcessLattice,
) -> None:
    lattice = fused_pair
    await lattice.start_component("echo", guests.echo(tag="e:"), count=0)
    assert (await lattice.failure("front", FRONT, "say", "x", timeout_ms=500)).kind == "trap"
    assert described(lattice, "front").fused is None
    await start(lattice, "echo", guests.echo(tag="e:"))
    await lattice.fused("front", "echo")
    assert await say(lattice) == "e:x"


async def test_after_an_update_the_new_code_answers(fused_pair: InProcessLattice) -> None:
    lattice = fused_pair
    new = lattice.file("new", guests.echo(tag="n:")).as_uri()
    host = lattice.hosts[0].id
    async with lattice.events() as events:
        fields = {"component_id": "echo", "new_component_ref": new, "host_id": host}
        assert (await lattice.ask("component", "update", host, **fields)).success
        await events.wait("component_scaled", component_id="echo")
    assert await say(lattice) == "n:x"
    await lattice.fused("front", "echo")
    assert await say(lattice) == "n:x"


async def test_a_callee_that_is_given_a_limit_is_left(fused_pair: InProcessLattice) -> None:
    lattice = fused_pair
    await start(lattice, "echo", guests.echo(tag="e:"), count=3)
    await lattice.fused("front")
    assert "echo allows 3 calls at once" in (described(lattice, "front").unfused or {})["echo"]
    assert await say(lattice) == "e:x"
    assert calls(lattice, "echo") == 1


async def test_a_rescaled_caller_is_bounded_by_its_new_limits(
    lattice_in_process: InProcessLattice, gate: Gate
) -> None:
    lattice = lattice_in_process
    await start_gated(lattice, count=10)
    await start(lattice, "front", guests.relay(imported=MIDDLE), count=2)
    await lattice.fused("front", "middle")
    asked = [asyncio.ensure_future(say(lattice)) for _ in range(3)]
    await eventually(lambda: (described(lattice, "front").stats or {})["queued"] == 1)
    await eventually(lambda: gate.waiting == 2)
    gate.opened.set()
    assert await asyncio.gather(*asked) == ["middle:x"] * 3


async def test_one_admission_bounds_both_ways_of_running(
    lattice_in_process: InProcessLattice, gate: Gate
) -> None:
    lattice = lattice_in_process
    await start_gated(lattice, count=1)
    fused = asyncio.ensure_future(say(lattice, "fused"))
    await eventually(lambda: gate.waiting == 1)
    in_line = asyncio.ensure_future(say(lattice, "in line"))
    await eventually(lambda: (described(lattice, "front").stats or {})["queued"] == 1)
    # a change of the callee's limits: what runs goes on, what waits goes on unfused
    await start(lattice, "middle", guests.relay(exported=MIDDLE), limits={"fuse": "never"})
    unfused = asyncio.ensure_future(say(lattice, "unfused"))
    await eventually(lambda: (described(lattice, "front").stats or {})["queued"] == 2)
    assert gate.waiting == (described(lattice, "front").stats or {})["running"] == 1
    gate.opened.set()
    answers = await asyncio.gather(fused, in_line, unfused)
    assert answers == ["middle:fused", "middle:in line", "middle:unfused"]
    assert calls(lattice, "middle") == 2


async def test_a_component_that_stops_lets_what_runs_fused_finish(
    lattice_in_process: InProcessLattice, gate: Gate
) -> None:
    lattice = lattice_in_process
    await start_gated(lattice)
    await start(lattice, "outer", guests.relay(exported=OUTER, imported=FRONT), limits={"fuse": "never"})
    await lattice.link("outer", "front", FRONT)
    running = asyncio.ensure_future(lattice.call("outer", OUTER, "say", "x"))
    await eventually(lambda: gate.waiting == 1)
    front = lattice.hosts[0].services.components.get("front")
    stopping = asyncio.ensure_future(lattice.start_component("front", guests.relay(), count=0))
    await eventually(lambda: front._pool._entrance.draining)
    assert front.fused_way.pool is None
    gate.opened.set()
    assert await running == "middle:x"
    assert (await stopping).name == "component_scaled"


# --- traces ----------------------------------------------------------------------------------------------


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process records spans here."""
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    telemetry.setup("fusion")
    yield tmp_path
    telemetry.shutdown()


async def test_calls_of_a_sampled_trace_run_unfused_and_show_every_span(
    fused_pair: InProcessLattice, traced: Path
) -> None:
    lattice = fused_pair
    with telemetry.use(TraceContext(f"00-{TRACE_ID}-b7ad6b7169203331-00", "")):
        assert [await say(lattice) for _ in range(3)] == ["e:x"] * 3
    assert calls(lattice, "echo") == 0
    with telemetry.use(TraceContext(f"00-{TRACE_ID}-b7ad6b7169203331-01", "")):
        assert await say(lattice) == "e:x"
    assert calls(lattice, "echo") == 1
    front = lattice.hosts[0].services.components.get("front").describe()
    assert ((front.stats or {})["calls"], (front.stats or {})["calls_fused"]) == (4, 3)
    await asyncio.to_thread(telemetry.shutdown)
    trace = (await asyncio.to_thread(read_traces, traced))[TRACE_ID]
    assert [(node.name, node.kind) for node in trace.spans()] == [
        ("test:words/front.say", "client"),
        ("test:words/front.say", "server"),
        ("test:words/echo.say", "client"),
        ("test:words/echo.say", "server"),
    ]
