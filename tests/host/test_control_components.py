"""The control interface: placing, scaling, updating and stopping components."""

from __future__ import annotations

import asyncio
import json

import guests
import pytest

from lath.model import ComponentDescription
from lath.testing import eventually
from lath.wit import types_json
from lath_host.components.component import Component
from lath_host.control.components import auction
from lath_host.control.operation import Request
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"


def described(lattice: InProcessLattice) -> list[ComponentDescription]:
    return list(lattice.hosts[0].inventory().components)


async def test_a_placed_component_stands_in_the_inventory_and_in_presence(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    event = await lattice.start_component(
        "echo",
        guests.echo(),
        count=3,
        annotations={"app": "x"},
        component_limits={"timeout_ms": 1234, "reuse": True, "fuse": "never"},
    )
    host = lattice.hosts[0]
    assert event.name == "component_scaled"
    assert event.data == {
        "component_id": "echo", "host_id": host.id, "max_instances": 3, "annotations": {"app": "x"},
        "image_ref": lattice.file("echo", guests.echo()).as_uri(),
    }  # fmt: skip
    reply = await lattice.ask("host", "get", host.id)
    (told,) = reply.response["components"]
    assert told["id"] == "echo" and told["max_instances"] == 3 and told["annotations"] == {"app": "x"}
    assert told["limits"]["timeout_ms"] == 1234 and told["revision"] == 0
    assert told["limits"]["reuse"] is True and told["limits"]["fuse"] == "never"
    assert told["exports"] == [ECHO] and len(told["digest"]) == 64
    (present,) = await eventually(lambda: lattice.presence.instances("echo"))
    assert (present.kind, present.host_id, present.interfaces) == ("component", host.id, (ECHO,))
    assert present.instance_id == told["instance_id"]


async def test_scaling_to_nothing_stops_the_component(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    event = await lattice.start_component("echo", guests.echo(), count=0)
    assert event.name == "component_scaled" and event.data["max_instances"] == 0
    assert described(lattice) == []
    await eventually(lambda: lattice.presence.instances("echo") == ())
    assert (await lattice.failure("echo", ECHO, "say", "x")).kind == "not_found"


async def test_scaling_to_what_already_runs_changes_nothing_and_tells_of_it(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    (before,) = described(lattice)
    event = await lattice.start_component("echo", guests.echo())
    assert event.name == "component_scaled"
    assert described(lattice) == [before]
    await lattice.start_component("echo", guests.echo(), count=2)
    (after,) = described(lattice)
    assert (after.instance_id, after.max_instances) == (before.instance_id, 2)


async def test_concurrent_scales_of_one_component_leave_what_was_asked_last(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await asyncio.gather(
        *(lattice.start_component("echo", guests.echo(), count=count) for count in range(1, 20))
    )
    async with lattice.events() as events:
        await lattice.start_component("echo", guests.echo(), count=20)
        await events.wait("component_scaled", max_instances=20)
    (told,) = described(lattice)
    assert told.max_instances == 20
    await eventually(lambda: len(lattice.presence.instances("echo")) == 1)


async def test_another_reference_needs_allow_update(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo(tag="1:"))
    host = lattice.hosts[0].id
    ref = lattice.file("echo2", guests.echo(tag="2:")).as_uri()
    fields = {"component_ref": ref, "component_id": "echo", "count": 10, "host_id": host}
    reply = await lattice.ask("component", "scale", host, **fields)
    assert not reply.success and "allow_update" in reply.message
    assert await lattice.call("echo", ECHO, "say", "x") == "1:x"
    async with lattice.events() as events:
        assert (await lattice.ask("component", "scale", host, allow_update=True, **fields)).success
        await events.wait("component_scaled", image_ref=ref)
    assert await lattice.call("echo", ECHO, "say", "x") == "2:x"


async def test_an_id_that_other_hosts_run_from_other_bytes_is_refused_with_host_digests_and_ways_out(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await lattice.start_component("echo", guests.echo(tag="1:"))
    (first,) = described(lattice)
    await eventually(lambda: other.services.presence.instances("echo"))
    event = await lattice.start_component("echo", lattice.file("new", guests.echo(tag="2:")), host=other)
    assert event.name == "component_scale_failed"
    assert first.digest is not None
    told = event.data["error"]
    assert told.startswith("conflict: ") and first.digest[:12] in told and lattice.hosts[0].id in told
    assert "another id" in told and "allow_update" in told
    assert other.inventory().components == ()
    event = await lattice.start_component("echo", guests.echo(tag="1:"), host=other)
    assert event.name == "component_scaled", event.data


async def test_of_two_hosts_that_start_other_bytes_at_the_same_moment_one_gives_way(
    lattice_in_process: InProcessLattice, monkeypatch: pytest.MonkeyPatch
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    both_checked = asyncio.Barrier(2)
    start = Component.start

    async def start_together(component: Component) -> None:
        await both_checked.wait()
        await start(component)

    monkeypatch.setattr(Component, "start", start_together)
    one, two = lattice.file("one", guests.echo(tag="1:")), lattice.file("two", guests.echo(tag="2:"))
    events = await asyncio.gather(
        lattice.start_component("echo", one),
        lattice.start_component("echo", two, host=other),
    )
    assert sorted(event.name for event in events) == ["component_scale_failed", "component_scaled"]
    (failed,) = (event for event in events if event.name == "component_scale_failed")
    assert failed.data["error"].startswith("conflict: component echo runs from other bytes on host ")
    await eventually(lambda: len(lattice.presence.instances("echo")) == 1)
    assert sum(len(host.inventory().components) for host in lattice.hosts) == 1


async def test_hosts_are_updated_one_after_the_other_and_join_from_either_bytes_meanwhile(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    second, third, fourth = await lattice.add_hosts(3)
    old, new = lattice.file("old", guests.echo(tag="1:")), lattice.file("new", guests.echo(tag="2:"))
    for host in (lattice.hosts[0], second):
        await lattice.start_component("echo", old, host=host)
    async with lattice.events() as events:
        fields = {"component_id": "echo", "new_component_ref": new.as_uri(), "host_id": second.id}
        assert (await lattice.ask("component", "update", second.id, **fields)).success
        await events.wait("component_scaled", host_id=second.id, image_ref=new.as_uri())
    digests = {each.inventory().components[0].digest for each in (lattice.hosts[0], second)}
    assert len(digests) == 2
    for host in (third, fourth):
        await eventually(
            lambda host=host: {p.digest for p in host.services.presence.instances("echo")} == digests
        )
    for host, code in ((third, old), (fourth, new)):
        event = await lattice.start_component("echo", code, host=host)
        assert event.name == "component_scaled", event.data


async def test_a_start_that_allows_updates_may_differ_from_other_hosts(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await lattice.start_component("echo", guests.echo(tag="1:"))
    await eventually(lambda: other.services.presence.instances("echo"))
    new = lattice.file("new", guests.echo(tag="2:"))
    event = await lattice.start_component("echo", new, host=other, allow_update=True)
    assert event.name == "component_scaled", event.data


async def test_an_update_replaces_the_code_and_loses_no_call(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo(tag="1:"))
    host = lattice.hosts[0].id
    ref = lattice.file("echo2", guests.echo(tag="2:")).as_uri()
    answers: list[str] = []
    done = asyncio.Event()

    async def keep_calling() -> None:
        while not done.is_set():
            answers.append(await lattice.call("echo", ECHO, "say", "x"))

    async with lattice.events() as events, asyncio.TaskGroup() as callers:
        for _ in range(8):
            callers.create_task(keep_calling())
        await eventually(lambda: "1:x" in answers)
        reply = await lattice.ask(
            "component", "update", host, component_id="echo", new_component_ref=ref, host_id=host
        )
        assert reply.success
        await events.wait("component_scaled", image_ref=ref)
        seen = len(answers)
        await eventually(lambda: len(answers) > seen + 20)
        done.set()
    assert set(answers) == {"1:x", "2:x"} and answers[-1] == "2:x"
    (told,) = described(lattice)
    assert (told.revision, told.image_ref) == (1, ref)


async def test_an_update_of_what_does_not_run_is_refused(lattice_in_process: InProcessLattice) -> None:
    host = lattice_in_process.hosts[0].id
    reply = await lattice_in_process.ask(
        "component", "update", host, component_id="echo", new_component_ref="file:///x.wasm", host_id=host
    )
    assert not reply.success and reply.message.startswith("not_found: ")


async def test_what_cannot_start_is_accepted_and_then_told_as_failed(
    lattice_in_process: InProcessLattice,
) -> None:
    """An acknowledgement means accepted; the outcome is an event."""
    lattice = lattice_in_process
    event = await lattice.start_component("bad", "(component (nonsense))")
    assert event.name == "component_scale_failed" and "invalid_argument" in event.data["error"]
    host = lattice.hosts[0].id
    async with lattice.events() as events:
        fields = {"component_id": "gone", "component_ref": "file:///nowhere/x.wasm"}
        reply = await lattice.ask("component", "scale", host, count=1, host_id=host, **fields)
        assert reply.success
        event = await events.wait("component_scale_failed", component_id="gone")
        assert "/nowhere/x.wasm" in event.data["error"]
    assert described(lattice) == []


async def test_an_auction_is_answered_by_hosts_that_match_and_do_not_run_it(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    matching, _other = await lattice.add_hosts(1, labels={"zone": "a"}), await lattice.add_hosts(1)
    fields = {"component_ref": "file:///x.wasm", "component_id": "echo", "constraints": {"zone": "a"}}
    (bid,) = await lattice.ask_all("component", "auction", count=1, **fields)
    assert bid.response == {**fields, "host_id": matching[0].id}
    await lattice.start_component("echo", guests.echo(), host=matching[0])
    everybody = {"component_ref": "file:///x.wasm", "component_id": "echo"}
    bids = await lattice.ask_all("component", "auction", count=2, **everybody)
    assert matching[0].id not in {bid.response["host_id"] for bid in bids}


@pytest.mark.parametrize("constraints", [{"zone": "b"}, {"zone": "a", "gpu": "yes"}])
async def test_a_host_that_does_not_match_an_auction_stays_silent(
    lattice_in_process: InProcessLattice, constraints: dict[str, str]
) -> None:
    (host,) = await lattice_in_process.add_hosts(1, labels={"zone": "a"})
    asked = {"component_ref": "file:///x.wasm", "component_id": "echo", "constraints": constraints}
    assert await auction(host.services, Request("", json.dumps(asked).encode())) is None
    asked["constraints"] = {"zone": "a"}
    assert await auction(host.services, Request("", json.dumps(asked).encode())) is not None


async def test_a_component_describes_its_world_with_types(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("front", guests.relay())
    host = lattice.hosts[0].id
    reply = await lattice.ask("component", "describe", host, component_id="front")
    world = types_json.from_json(reply.response)
    assert world == lattice.hosts[0].services.components.get("front").compiled.world
    assert described(lattice)[0].imports == (f"{ECHO} (default)",)
    missing = await lattice.ask("component", "describe", host, component_id="nope")
    assert not missing.success and "nope" in missing.message


async def test_past_max_instances_and_queue_a_call_is_refused_at_once_and_room_comes_back(
    lattice_in_process: InProcessLattice,
) -> None:
    """Weakness 12: past max instances, later requests wedged, and permits leaked on time-out."""
    lattice = lattice_in_process
    limits = {"queue_max": 0, "warm_instances": 0}
    await lattice.start_component("echo", guests.echo(), count=2, component_limits=limits)

    async def stats() -> tuple[int, int]:
        told = described(lattice)[0].stats or {}
        return told["running"], told["queued"]

    for _ in range(3):
        looping = [
            asyncio.create_task(lattice.failure("echo", ECHO, "loop", "", timeout_ms=700)) for _ in range(2)
        ]
        await eventually(lambda: (described(lattice)[0].stats or {})["running"] == 2)
        assert (await lattice.failure("echo", ECHO, "say", "x")).kind == "overloaded"
        errors = await asyncio.gather(*looping)
        assert {error.kind for error in errors} == {"deadline_exceeded"}
        await eventually(lambda: (described(lattice)[0].stats or {})["running"] == 0)
    assert await lattice.call("echo", ECHO, "say", "x") == "x"


async def test_a_guest_that_loops_eats_memory_or_traps_costs_only_its_own_call(
    lattice_in_process: InProcessLattice,
) -> None:
    """Must hold 14: a hundred calls to another component complete while the first still loops."""
    lattice = lattice_in_process
    limits = {"memory_bytes_max": 8 * 1024 * 1024}
    await lattice.start_component("wild", guests.echo(), component_limits=limits)
    await lattice.start_component("tame", guests.echo(tag="t:"))
    looping = asyncio.create_task(lattice.failure("wild", ECHO, "loop", "", timeout_ms=60_000))
    await eventually(lambda: described(lattice)[1].stats["running"] == 1)  # type: ignore[index]
    answers = await asyncio.gather(*(lattice.call("tame", ECHO, "say", str(i)) for i in range(100)))
    assert answers == [f"t:{i}" for i in range(100)]
    assert not looping.done()
    assert (await lattice.failure("wild", ECHO, "trap", "")).kind == "trap"
    assert (await lattice.failure("wild", ECHO, "grow", "")).kind in ("trap", "limit_exceeded")
    assert await lattice.call("wild", ECHO, "say", "still here") == "still here"
    assert not looping.done()
    looping.cancel()
    await asyncio.wait([looping])


@pytest.mark.parametrize("way", ["over the bus", "from beside it"])
async def test_a_components_own_time_limit_holds_for_callers_that_would_wait_longer(
    lattice_in_process: InProcessLattice, way: str
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("short", guests.echo(), component_limits={"timeout_ms": 100})
    await lattice.start_component("front", guests.relay(function="loop"))
    await lattice.link("front", "short", ECHO)
    target, interface, function = (
        ("short", ECHO, "loop") if way == "over the bus" else ("front", FRONT, "say")
    )
    error = await lattice.failure(target, interface, function, "", timeout_ms=60_000)
    assert "deadline_exceeded" in str(error) and "short did not answer within 100 ms" in str(error)
    assert await lattice.call("short", ECHO, "say", "x") == "x"


async def test_limits_that_make_no_sense_are_refused_at_once(lattice_in_process: InProcessLattice) -> None:
    host = lattice_in_process.hosts[0].id
    fields = {"component_ref": "file:///x.wasm", "component_id": "a", "count": 1, "host_id": host}
    for limits in ({"memory_bytes_max": 1}, {"timeout_ms": 0}, {"fuel_max": 0}, {"queue_max": -1}, "much"):
        reply = await lattice_in_process.ask("component", "scale", host, component_limits=limits, **fields)
        assert not reply.success and reply.message.startswith("invalid_argument: "), limits


async def test_fuel_is_given_and_taken_while_a_component_runs(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    event = await lattice.start_component("echo", guests.echo(), component_limits={"fuel_max": 10})
    assert event.name == "component_scaled", event.data
    assert (await lattice.failure("echo", ECHO, "say", "x" * 100_000)).kind == "limit_exceeded"
    await lattice.start_component("echo", guests.echo(), component_limits={"queue_max": 5})
    assert await lattice.call("echo", ECHO, "say", "x" * 100_000) == "x" * 100_000


async def test_a_component_that_is_stopped_without_grace_is_gone_from_presence_at_once(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1, drain_ms=0)
    await lattice.start_component("echo", guests.echo(), host=other)
    await eventually(lambda: lattice.presence.instances("echo"))
    await other.stop()
    await eventually(lambda: not lattice.presence.instances("echo"), what="presence to end before its TTL")
    assert lattice.presence.lost() == ()
