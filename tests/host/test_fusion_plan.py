"""Which components are planned to become one, and why others are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import guests
import pytest
from choosing_guests import chooser
from engine_guests import BUCKETS
from fuse_components import KEEPER

from lath.names import InterfaceName
from lath_host.components.deployment import Settings
from lath_host.components.fusion_plan import Member, Plan, plan
from lath_host.components.offered import Offered
from lath_host.engine.compose.fuse import Join
from lath_host.engine.engine import Engine
from lath_host.engine.limits import Limits

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"
MIDDLE = "test:words/middle@1.0.0"

RUN = """
  (core module $run (func (export "run") (result i32) (i32.const 0)))
  (core instance $running (instantiate $run))
  (func $run (result (result)) (canon lift (core func $running "run")))
  (instance $service (export "run" (func $run)))
  (export "wasi:cli/run@0.2.6" (instance $service))
"""

Links = dict[tuple[str, str, str], str]
"""(source, interface without version, link name) -> target."""
TO_ECHO: Links = {("front", "test:words/echo", "default"): "echo"}


async def member(engine: Engine, id_: str, source: str | bytes, fuse: Any = "auto", **limits: Any) -> Member:
    compiled = await engine.compile(source if isinstance(source, bytes) else source.encode())
    settings = limits.pop("settings", Settings())
    chosen, timeout_ms = Limits(**{"reuse": True, **limits}), limits.get("timeout_ms")
    return Member(id_, f"{id_}-1", chosen, timeout_ms, fuse, settings, compiled, Offered(id_, compiled.world))


def planned(links: Links, root: Member, *others: Member) -> Plan:
    def target_of(source: str, interface: InterfaceName, link_name: str) -> str | None:
        return links.get((source, interface.unversioned, link_name))

    return plan(root, {each.id: each for each in (root, *others)}, target_of)


def ids(made: Plan) -> list[str]:
    return [part.id for part in made.parts]


async def test_a_component_is_joined_with_what_its_link_leads_to(engine: Engine) -> None:
    front, echo = await member(engine, "front", guests.relay()), await member(engine, "echo", guests.echo())
    made = planned(TO_ECHO, front, echo)
    assert ids(made) == ["front", "echo"]
    assert made.joins == (Join("front", ECHO, "echo", ECHO),)
    assert made.unfused == {}


async def test_without_a_link_or_a_target_beside_it_nothing_is_joined_and_nothing_is_wrong(
    engine: Engine,
) -> None:
    front, echo = await member(engine, "front", guests.relay()), await member(engine, "echo", guests.echo())
    for made in (planned({}, front, echo), planned(TO_ECHO, front)):
        assert (ids(made), made.joins, made.unfused) == (["front"], (), {})


async def test_a_plan_looks_at_a_target_that_is_not_there_yet(engine: Engine) -> None:
    front = await member(engine, "front", guests.relay())
    assert planned(TO_ECHO, front).looked_at == {"front", "echo"}


async def test_a_label_chooses_the_link_and_a_compatible_version_answers(engine: Engine) -> None:
    front = await member(engine, "front", guests.relay(label="far"))
    echo = await member(engine, "echo", guests.echo("test:words/echo@1.4.0"))
    made = planned({("front", "test:words/echo", "far"): "echo"}, front, echo)
    assert made.joins == (Join("front", "far", "echo", "test:words/echo@1.4.0"),)


async def test_a_chain_is_joined_from_end_to_end(engine: Engine) -> None:
    front = await member(engine, "front", guests.relay(imported=MIDDLE))
    middle = await member(engine, "middle", guests.relay(exported=MIDDLE))
    echo = await member(engine, "echo", guests.echo())
    links = {
        ("front", "test:words/middle", "default"): "middle",
        ("middle", "test:words/echo", "default"): "echo",
    }
    made = planned(links, front, middle, echo)
    assert ids(made) == ["front", "middle", "echo"]
    assert [(join.caller, join.callee) for join in made.joins] == [("front", "middle"), ("middle", "echo")]


async def test_a_way_back_stays_unfused(engine: Engine) -> None:
    front = await member(engine, "front", guests.relay(imported=MIDDLE))
    middle = await member(engine, "middle", guests.relay(exported=MIDDLE, imported=FRONT))
    links = {
        ("front", "test:words/middle", "default"): "middle",
        ("middle", "test:words/front", "default"): "front",
    }
    made = planned(links, front, middle)
    assert [(join.caller, join.callee) for join in made.joins] == [("front", "middle")]
    assert made.unfused == {"front": "front calls middle in turn: one of the two ways stays unfused"}


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        ({"fuse": "never"}, {}, "front was started with fuse: never"),
        ({}, {"fuse": "never"}, "echo was started with fuse: never"),
        ({}, {"reuse": False}, "echo gets a fresh instance for every call"),
        ({"reuse": False}, {}, "front gets a fresh instance for every call"),
        ({}, {"memory_bytes_max": 1 << 20}, "echo has a limit of its own, memory_bytes_max 1048576"),
        ({}, {"fuel_max": 1000}, "echo has a limit of its own, fuel_max 1000"),
        ({}, {"timeout_ms": 5}, "echo has a limit of its own, timeout_ms 5"),
        ({}, {"timeout_ms": 10_000}, "echo has a limit of its own, timeout_ms 10000"),
        ({}, {"calls_max": 5}, "echo has a limit of its own, calls_max 5"),
        ({}, {"cpu_weight": 5}, "echo has a limit of its own, cpu_weight 5"),
        ({}, {"max_instances": 5}, "echo allows 5 calls at once (max_instances), front 100"),
        ({"fuel_max": 1000}, {}, "front has a limit of its own, fuel_max 1000, that would bound both"),
        (
            {"memory_bytes_max": 1 << 20}, {},
            "front has a limit of its own, memory_bytes_max 1048576, that would bound both",
        ),
        ({}, {"fuse": "always", "timeout_ms": 5}, "echo has a limit of its own, timeout_ms 5"),
        ({"fuse": "never"}, {"fuse": "always"}, "front was started with fuse: never"),
    ],
)  # fmt: skip
async def test_what_might_change_a_result_is_refused_with_the_reason(
    engine: Engine, ours: dict[str, Any], theirs: dict[str, Any], reason: str
) -> None:
    front = await member(engine, "front", guests.relay(), **ours)
    echo = await member(engine, "echo", guests.echo(), **theirs)
    made = planned(TO_ECHO, front, echo)
    assert ids(made) == ["front"] and made.joins == ()
    assert made.unfused["echo"].startswith(reason)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {"warm_instances": 9, "idle_seconds": 60, "max_instances": 200}),
        ({"timeout_ms": 5, "calls_max": 7, "cpu_weight": 3}, {}),
        ({"reuse": False}, {"reuse": False, "fuse": "always"}),
        ({"reuse": False, "fuel_max": 1000, "memory_bytes_max": 1 << 20}, {"fuse": "always"}),
    ],
)
async def test_what_changes_no_result_or_was_asked_for_is_joined(
    engine: Engine, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    front = await member(engine, "front", guests.relay(), **ours)
    echo = await member(engine, "echo", guests.echo(), **theirs)
    assert ids(planned(TO_ECHO, front, echo)) == ["front", "echo"]


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (guests.echo("test:words/echo@2.0.0"), "not a version compatible with test:words/echo@1.0.0"),
        (guests.relay(exported=ECHO, imported=MIDDLE), "does not export loop of test:words/echo@1.0.0"),
        (guests.echo(MIDDLE), "component echo does not export test:words/echo@1.0.0"),
    ],
)
async def test_exports_that_do_not_fit_are_refused_with_the_reason(
    engine: Engine, offered: str, reason: str
) -> None:
    front = await member(engine, "front", guests.relay(function="loop"))
    made = planned(TO_ECHO, front, await member(engine, "echo", offered))
    assert made.joins == ()
    assert reason in made.unfused["echo"]


async def test_a_service_and_who_chooses_links_while_it_runs_are_left_out(engine: Engine) -> None:
    front, echo = await member(engine, "front", guests.relay()), await member(engine, "echo", guests.echo())
    service = await member(engine, "echo", f"{guests.echo().rstrip()[:-1]} {RUN})")
    assert planned(TO_ECHO, front, service).unfused == {"echo": "echo is a service, which runs by itself"}
    choosing = await member(engine, "front", chooser())
    assert planned(TO_ECHO, choosing, echo).unfused == {
        "echo": "front chooses its links by name while it runs"
    }


async def test_a_callees_resources_may_be_used_and_not_be_passed_on(engine: Engine) -> None:
    links = {("user", f"lath:test/{interface}", "default"): "keeper" for interface in ("store", "atomics")}
    keeper = await member(engine, "keeper", KEEPER)
    using = BUCKETS[: BUCKETS.index(b'(func (export "pass-own") (param "bucket"')] + b")"
    assert ids(planned(links, await member(engine, "user", using), keeper)) == ["user", "keeper"]
    made = planned(links, await member(engine, "user", BUCKETS), keeper)
    assert made.joins == ()
    assert made.unfused["keeper"].startswith("user passes handles of resources of keeper on to its callers")


IMPORTS = {
    "env": "wasi:cli/environment@0.2.0", "allowed_hosts": "wasi:http/outgoing-handler@0.2.0",
    "allowed_sockets": "wasi:sockets/network@0.2.0",
}  # fmt: skip
GIVEN: dict[str, Any] = {
    "env": {"A": "1"}, "allowed_hosts": ("example.com",), "allowed_sockets": ("db:5432",),
}  # fmt: skip


@pytest.mark.parametrize("setting", GIVEN)
async def test_a_setting_of_its_own_keeps_a_component_apart_where_it_can_tell(
    engine: Engine, setting: str
) -> None:
    front = await member(engine, "front", guests.relay())
    theirs = Settings(**{setting: GIVEN[setting]})
    looking = guests.echo().replace("(component", f'(component (import "{IMPORTS[setting]}" (instance))', 1)
    echo = await member(engine, "echo", looking, settings=theirs)
    assert planned(TO_ECHO, front, echo).unfused == {"echo": f"echo has another {setting} than front"}
    always = await member(engine, "echo", looking, "always", settings=theirs)
    assert planned(TO_ECHO, front, always).joins == ()
    like = await member(engine, "front", guests.relay(), settings=theirs)
    assert ids(planned(TO_ECHO, like, echo)) == ["front", "echo"]
    blind = await member(engine, "echo", guests.echo(), settings=theirs)
    assert ids(planned(TO_ECHO, front, blind)) == ["front", "echo"]


async def test_plans_are_equal_as_long_as_the_same_instances_of_the_same_limits_are_joined(
    engine: Engine,
) -> None:
    front, echo = await member(engine, "front", guests.relay()), await member(engine, "echo", guests.echo())
    made = planned(TO_ECHO, front, echo)
    assert planned(TO_ECHO, front, await member(engine, "echo", guests.echo())) == made
    updated = replace(echo, instance_id="echo-2")
    rescaled = await member(engine, "echo", guests.echo(), max_instances=500)
    assert planned(TO_ECHO, front, updated) != made
    assert planned(TO_ECHO, front, rescaled) != made
