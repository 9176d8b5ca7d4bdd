"""Fusion: calls between parts stay in wasm, and what comes out is what came out of the parts apart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from async_components import ASYNC
from bridge_components import FAR, LATE_IMPORT, NEAR, OWN_RESOURCE, VAULT, relay, with_bytes
from engine_components import forward
from engine_guests import BUCKETS, MISCHIEF, PRINTER, SLEEPER
from fuse_calls import (
    ACCOUNT,
    ASK,
    BYTES,
    CONTEXT,
    COUNT,
    DEEP,
    FRONT,
    HELLO,
    MISCHIEF_NAME,
    REUSE,
    Answers,
    call,
    fused,
    is_native,
    mischievous,
    renamed,
)
from fuse_components import (
    ASKER,
    ASKER_NAME,
    EVENTS,
    KEEPER,
    LOG,
    LOGGER,
    NAPPER,
    RECORDER,
    Passed,
    front,
)  # fmt: skip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_guest import PARTNER_SOURCE, PARTNER_WIT, build_python_guest
from resource_guests import COUNTERS
from wit_strategies import funcs, wire_params, wire_values

from lath.errors import Trap
from lath.wit.types import Field, Func, ListOf
from lath_host.engine import Engine
from lath_host.engine.compose.fuse import Join, Part, fuse
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool
from lath_host.testing import CACHE_DIR

# -- the same results ----------------------------------------------------------------------------------------


async def unfused(engine: Engine, func: Func, params: list[Any], answer: Any) -> tuple[Any, Any]:
    """What a relay returns that calls another, and what the latter's import was given."""
    deep = Answers(lambda import_, params: answer)
    given: list[Any] = []
    caller, callee = await engine.compile(relay(func)), await engine.compile(relay(func))

    async def ask(import_: Import, context: CallContext, params: list[Any]) -> Any:
        given.append(params)
        return await second.call(NEAR, "relay", params, context=context)

    async with (
        InstancePool(engine, callee, REUSE, deep, name="callee") as second,
        InstancePool(engine, caller, REUSE, ask, name="caller") as first,
    ):
        return await first.call(NEAR, "relay", params, context=CONTEXT), given[0]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), func=funcs(), bridged=st.booleans())
async def test_a_random_function_gives_the_same_fused_and_unfused(
    bridging: Engine, plain: Engine, data: Any, func: Func, bridged: bool
) -> None:
    func = with_bytes(func, BYTES)
    engine = bridging if bridged else plain
    params = data.draw(wire_params(func))
    answer = data.draw(wire_values(func.result)) if func.result else None
    given: list[Any] = []

    async def deep(import_: Import, context: CallContext, params: list[Any]) -> Any:
        given.append(params)
        return answer

    parts = {"caller": relay(func), "callee": renamed(relay(func), far=DEEP, near=FAR)}
    outcome = fused(parts, ("caller", FAR, "callee", FAR))
    results = await call(engine, outcome, [(NEAR, "relay", params)] * 2, deep)
    assert results == [answer, answer]
    assert given == [params, params]
    assert (results[0], given[0]) == await unfused(engine, func, params, answer)


async def test_a_call_between_parts_does_not_ask_the_host(either: Engine) -> None:
    outcome = mischievous(("hello", HELLO), ("count", COUNT))
    calls = [(FRONT, "hello", ["žluť"]), (FRONT, "count", []), (FRONT, "count", [])]
    assert await call(either, outcome, calls) == ["žluť", 1, 2]


async def test_bytes_cross_a_fused_component_in_bulk(bridging: Engine) -> None:
    func = Func((Field("data", BYTES),), BYTES)
    parts = {"caller": relay(func), "callee": renamed(relay(func), far=DEEP, near=FAR)}
    outcome = fused(parts, ("caller", FAR, "callee", FAR))
    compiled = await bridging.compile(outcome.source)
    (import_,) = outcome.imports
    assert compiled.twin("export", NEAR, "relay") and compiled.twin("import", import_, "relay")
    data = bytes(range(256)) * 4096
    answers = Answers(lambda import_, params: params[0])
    assert await call(bridging, outcome, [(NEAR, "relay", [data])], answers) == [data]


async def test_a_fused_component_exports_what_its_first_part_does(either: Engine) -> None:
    func = Func((Field("a", ListOf(ACCOUNT)),), ListOf(ACCOUNT))
    callee = renamed(relay(func), far=DEEP, near=FAR).replace(b'"relay"', b'"echo"')
    parts = {"caller": forward(ACCOUNT), "callee": callee}
    outcome = fused(parts, ("caller", FAR, "callee", FAR))
    compiled, alone = await either.compile(outcome.source), await either.compile(forward(ACCOUNT))
    assert compiled.world.exports == alone.world.exports
    assert [name for name, each in compiled.world.imports.items() if each.functions] == [
        name for name, source in outcome.imports.items() if source == ("callee", DEEP)
    ]
    account = {"id": "žluť", "inner": {"key": b"\xff\0"}}
    answers = Answers(lambda import_, params: params[0])
    assert await call(either, outcome, [("", "echo", [[account]])], answers) == [[account]]
    assert len(answers.asked) == 1


EVERY_KIND = {
    "late import": LATE_IMPORT, "own resource": OWN_RESOURCE, "resources": VAULT, "resources of two": BUCKETS,
    "keeper": KEEPER, "counters": COUNTERS, "async": ASYNC,
    "world": ASKER, "native": PRINTER, "types": RECORDER, "named": forward(ACCOUNT),
}  # fmt: skip


@pytest.mark.parametrize("source", EVERY_KIND.values(), ids=list(EVERY_KIND))
async def test_a_component_fused_with_no_other_is_of_the_same_world(either: Engine, source: bytes) -> None:
    outcome = fused({"alone": source})
    compiled, bare = await either.compile(outcome.source), await either.compile(source)
    assert compiled.world == bare.world
    assert dict(compiled.refused_imports) == dict(bare.refused_imports)
    assert set(outcome.imports) == {
        label
        for name, each in bare.world.imports.items()
        if not is_native(each.name)
        for label in ([name] if name else each.functions)
    }


EVENT = {"text": "žluť", "level": "high"}
JOINED_LOG = ("recorder", LOG, "logger", LOG)


@pytest.mark.parametrize("joins", [[JOINED_LOG], [JOINED_LOG, ("recorder", EVENTS, "logger", EVENTS)]])
async def test_types_that_interfaces_take_from_each_other_stay_equal(
    either: Engine, joins: list[tuple[str, str, str, str]]
) -> None:
    outcome = fused({"recorder": RECORDER, "logger": LOGGER}, *joins)
    compiled, alone = await either.compile(outcome.source), await either.compile(RECORDER)
    assert compiled.world.exports == alone.world.exports
    answers = Answers(lambda import_, params: None)
    assert await call(either, outcome, [("", "record", [EVENT])], answers) == [EVENT]
    assert [outcome.imports[name] for name, _ in answers.asked] == [("recorder", "lath:test/audit@1.0.0")]


async def test_an_async_export_calls_a_callee_that_it_is_fused_with(either: Engine) -> None:
    callee = front("lath:test/far@1.0.0", [Passed(f'"{DEEP}"', "ask", ASK, "ask")])
    outcome = fused({"a": ASYNC, "b": callee}, ("a", "lath:test/far@1.0.0", "b", "lath:test/far@1.0.0"))
    answers = Answers(lambda import_, params: params[0].upper())
    assert await call(either, outcome, [("", "ask", ["straße"]), ("", "yield", [3])], answers) == [
        "STRASSE",
        7,
    ]


# -- whose import it is --------------------------------------------------------------------------------------


async def test_each_import_that_is_left_belongs_to_the_part_that_has_it(either: Engine) -> None:
    caller = front(
        FRONT,
        [
            Passed(f'"{MISCHIEF_NAME}"', "ask", ASK, "theirs"),
            Passed('"lath:test/far@1.0.0"', "ask", ASK, "mine"),
            Passed('"lath:test/more@1.0.0"', "ask", ASK, "more"),
        ],
    )
    outcome = fused(
        {"caller": caller, "callee": MISCHIEF}, ("caller", MISCHIEF_NAME, "callee", MISCHIEF_NAME)
    )
    assert sorted(outcome.imports.values()) == [
        ("callee", "lath:test/far@1.0.0"),
        ("caller", "lath:test/far@1.0.0"),
        ("caller", "lath:test/more@1.0.0"),
    ]
    answers = Answers(lambda import_, params: "/".join([*outcome.imports[import_.name], params[0]]))
    calls = [(FRONT, name, ["k"]) for name in ("mine", "more", "theirs")]
    assert await call(either, outcome, calls, answers) == [
        "caller/lath:test/far@1.0.0/k", "caller/lath:test/more@1.0.0/k", "callee/lath:test/far@1.0.0/k"
    ]  # fmt: skip


async def test_reflection_still_knows_the_interface_of_a_callees_import(either: Engine) -> None:
    outcome = mischievous(("ask", ASK))
    compiled = await either.compile(outcome.source)
    (name,) = outcome.imports
    assert compiled.world.imports[name].name == "lath:test/far@1.0.0"


async def test_a_callee_may_import_functions_and_types_of_its_world(either: Engine) -> None:
    caller = front(FRONT, [Passed(f'"{ASKER_NAME}"', "ask", ASK, "ask")])
    outcome = fused({"a": caller, "b": ASKER}, ("a", ASKER_NAME, "b", ASKER_NAME))
    ((name, source),) = outcome.imports.items()
    assert source == ("b", "judge")
    answers = Answers(lambda import_, params: params[0]["text"].upper())
    assert await call(either, outcome, [(FRONT, "ask", ["x"])], answers) == ["X"]
    assert answers.asked == [("", name)]


@pytest.mark.parametrize("offered", ["lath:test/mischief@1.2.0", "lath:test/mischief@1.9.1"])
async def test_caller_and_callee_may_name_an_interface_at_compatible_versions(
    either: Engine, offered: str
) -> None:
    caller = front(FRONT, [Passed('"lath:test/mischief@1.0.3"', "hello", HELLO, "hello")])
    callee = MISCHIEF.replace(MISCHIEF_NAME.encode(), offered.encode())
    outcome = fused({"a": caller, "b": callee}, ("a", "lath:test/mischief@1.0.3", "b", offered))
    assert await call(either, outcome, [(FRONT, "hello", ["x"])]) == ["x"]


async def test_an_import_that_goes_by_a_label_is_joined_and_one_of_a_callee_keeps_what_it_implements(
    either: Engine,
) -> None:
    caller = front(FRONT, [Passed(f'"cold" (implements "{MISCHIEF_NAME}")', "ask", ASK, "ask")])
    callee = MISCHIEF.replace(b'"lath:test/far@1.0.0"', b'"other" (implements "lath:test/far@1.0.0")')
    outcome = fused({"a": caller, "b": callee}, ("a", "cold", "b", MISCHIEF_NAME))
    ((name, source),) = outcome.imports.items()
    assert source == ("b", "other")
    assert (await either.compile(outcome.source)).world.imports[name].name == "lath:test/far@1.0.0"
    answers = Answers(lambda import_, params: params[0])
    assert await call(either, outcome, [(FRONT, "ask", ["x"])], answers) == ["x"]


async def test_two_labels_of_one_interface_may_be_answered_by_two_callees(either: Engine) -> None:
    labels = [f'"{label}" (implements "{MISCHIEF_NAME}")' for label in ("left", "right")]
    caller = front(
        FRONT, [Passed(labels[0], "count", COUNT, "left"), Passed(labels[1], "count", COUNT, "right")]
    )
    outcome = fused(
        {"a": caller, "b": MISCHIEF, "c": MISCHIEF},
        ("a", "left", "b", MISCHIEF_NAME),
        ("a", "right", "c", MISCHIEF_NAME),
    )
    calls: list[tuple[str, str, list[Any]]] = [(FRONT, name, []) for name in ("left", "left", "right")]
    assert await call(either, outcome, calls) == [1, 2, 1]


async def test_native_interfaces_are_shared_with_all_functions_that_any_part_uses(either: Engine) -> None:
    outcome = fused({"a": NAPPER, "b": SLEEPER}, ("a", "sleep", "b", "sleep"))
    compiled = await either.compile(outcome.source)
    assert not outcome.imports
    assert {name: set(each.functions) for name, each in compiled.world.imports.items()} == {
        "wasi:io/poll@0.2.3": {"poll", "[method]pollable.block", "[method]pollable.ready"},
        "wasi:clocks/wall-clock@0.2.3": {"now"},
        "wasi:clocks/monotonic-clock@0.2.3": {
            "resolution", "now", "subscribe-instant", "subscribe-duration",
        },
    }  # fmt: skip
    assert await call(either, outcome, [("", "nap", [2_000_000])]) == [1]


# -- guests that a toolchain built ---------------------------------------------------------------------------


@pytest.mark.timeout(600)  # compiling both in one takes a minute or two, once per machine
async def test_two_python_guests_are_fused_and_each_prints_and_asks_for_itself() -> None:
    caller = await asyncio.to_thread(build_python_guest)
    callee = await asyncio.to_thread(build_python_guest, PARTNER_WIT, PARTNER_SOURCE)
    parts = [Part("app", caller), Part("keeper", callee)]
    join = Join("app", "demo:app/store@0.1.0", "keeper", "demo:app/store@0.1.4")
    outcome = fuse(parts, [join], is_native)
    left = {("keeper", "demo:app/audit@0.1.4"), ("keeper", "demo:app/greet@0.1.0")}
    assert set(outcome.imports.values()) == left
    notes: list[Any] = []
    lines: list[tuple[str, str]] = []

    async def audit(import_: Import, context: CallContext, params: list[Any]) -> Any:
        notes.extend(params)
        return {"ok": None}

    def log(stream: str, line: str) -> None:
        lines.append((stream, line))

    async with Engine(cache_dir=CACHE_DIR, threads=1) as engine:
        compiled = await engine.compile(outcome.source)
        greet = "demo:app/greet@0.1.0"
        async with InstancePool(engine, compiled, REUSE, audit, name="python", log=log) as pool:
            for key, answer in [("a", "kept a"), ("absent", "none"), ("ü", "kept ü")]:
                assert await pool.call(greet, "via", [key], context=CONTEXT) == answer
            await pool.call(greet, "run", [{"name": "x", "n": 1}], context=CONTEXT)
            with pytest.raises(Trap):
                await pool.call(greet, "via", ["raise"], context=CONTEXT)
    assert notes == [{"key": key, "times": n} for n, key in enumerate(["a", "absent", "ü"], start=1)]
    assert {("stdout", "asked for a"), ("stdout", "running x"), ("stderr", "oh")} <= set(lines)
