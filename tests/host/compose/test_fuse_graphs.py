"""More than two components become one: chains, parts that others share, and any graph without a circle."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bridge_components import FAR, NEAR, relay
from engine_guests import MISCHIEF
from fuse_calls import (
    ACCOUNT,
    ASK,
    COUNT,
    FRONT,
    MISCHIEF_NAME,
    Answers,
    call,
    fused,
    is_native,
    mischievous,
    renamed,
)
from fuse_components import Passed, front
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wasmtime import wat2wasm

from lath.wit.types import Field, Func, OptionOf
from lath_host.engine import Engine
from lath_host.engine.compose.fuse import Join, Part, fuse


def interface(number: int) -> str:
    return f"lath:test/n{number}@1.0.0"


async def test_a_chain_is_one_component(either: Engine) -> None:
    func = Func((Field("a", ACCOUNT),), OptionOf(ACCOUNT))
    parts = {
        "a": relay(func),
        "b": renamed(relay(func), near=FAR, far="lath:test/b@1.0.0"),
        "c": renamed(relay(func), near="lath:test/b@1.0.0", far="lath:test/c@1.0.0"),
    }
    joins = [("a", FAR, "b", FAR), ("b", "lath:test/b@1.0.0", "c", "lath:test/b@1.0.0")]
    outcome = fused(parts, *joins)
    assert list(outcome.imports.values()) == [("c", "lath:test/c@1.0.0")]
    account = {"id": "a", "inner": {"key": b"\xff"}}
    answers = Answers(lambda import_, params: params[0])
    assert await call(either, outcome, [(NEAR, "relay", [account])], answers) == [account]


async def test_a_fused_component_may_be_fused_again(either: Engine) -> None:
    inner = mischievous(("ask", ASK), ("count", COUNT))
    caller = front(
        "lath:test/outermost@1.0.0",
        [
            Passed(f'"{FRONT}"', "ask", ASK, "ask"),
            Passed('"lath-fused-1-1" (implements "lath:test/far@1.0.0")', "ask", ASK, "own"),
        ],
    )
    parts = [Part("top", bytes(wat2wasm(caller))), Part("bottom", inner.source)]
    outcome = fuse(parts, [Join("top", FRONT, "bottom", FRONT)], is_native)
    assert sorted(outcome.imports.values()) == [("bottom", "lath-fused-1-1"), ("top", "lath-fused-1-1")]
    answers = Answers(lambda import_, params: f"{outcome.imports[import_.name][0]} {params[0]}")
    calls = [("lath:test/outermost@1.0.0", name, ["x"]) for name in ("ask", "own")]
    assert await call(either, outcome, calls, answers) == ["bottom x", "top x"]


async def test_a_callee_that_two_parts_share_is_one_instance(either: Engine) -> None:
    def middle(name: str) -> bytes:
        return front(f"lath:test/{name}@1.0.0", [Passed(f'"{MISCHIEF_NAME}"', "count", COUNT, "count")])

    caller = front(
        FRONT,
        [Passed(f'"lath:test/{name}@1.0.0"', "count", COUNT, name) for name in ("left", "right")],
    )
    outcome = fused(
        {"top": caller, "l": middle("left"), "bottom": MISCHIEF, "r": middle("right")},
        ("top", "lath:test/left@1.0.0", "l", "lath:test/left@1.0.0"),
        ("top", "lath:test/right@1.0.0", "r", "lath:test/right@1.0.0"),
        ("l", MISCHIEF_NAME, "bottom", MISCHIEF_NAME),
        ("r", MISCHIEF_NAME, "bottom", MISCHIEF_NAME),
    )
    calls: list[tuple[str, str, list[Any]]] = [(FRONT, name, []) for name in ("left", "right", "left")]
    assert await call(either, outcome, calls) == [1, 2, 3]


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    """By number which later ones each component calls; the first one reaches all, the last calls none."""
    size = draw(st.integers(2, 6))
    callees = [sorted(draw(st.sets(st.integers(n + 1, size - 1), max_size=3))) for n in range(size - 1)]
    for number in range(1, size):
        if not any(number in each for each in callees[:number]):
            callees[draw(st.integers(0, number - 1))].append(number)
    return [*callees, []]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(graph=graphs(), data=st.data())
async def test_any_graph_without_a_circle_becomes_one_instance_of_each_part(
    plain: Engine, graph: list[list[int]], data: Any
) -> None:
    paths: dict[int, list[tuple[str, int]]] = {}  # by component: how each leaf is reached
    sources: dict[str, bytes] = {}
    for number in reversed(range(len(graph))):
        passed = [
            (f"c{callee}-{name}", leaf, Passed(f'"{interface(callee)}"', name, COUNT, f"c{callee}-{name}"))
            for callee in graph[number]
            for name, leaf in paths[callee]
        ]
        paths[number] = [(name, leaf) for name, leaf, _ in passed] or [("count", number)]
        leaf = MISCHIEF.replace(MISCHIEF_NAME.encode(), interface(number).encode())
        sources[f"p{number}"] = front(interface(number), [each for *_, each in passed]) if passed else leaf
    first, *rest = reversed(list(sources))
    order = [first, *data.draw(st.permutations(rest))]
    joins = [
        (f"p{caller}", interface(callee), f"p{callee}", interface(callee))
        for caller, callees in enumerate(graph)
        for callee in callees
    ]
    outcome = fused({name: sources[name] for name in order}, *data.draw(st.permutations(joins)))
    called = data.draw(st.lists(st.sampled_from(paths[0]), min_size=1, max_size=8))
    counts: Counter[int] = Counter()
    expected = []
    for _, leaf in called:
        counts[leaf] += 1
        expected.append(counts[leaf])
    calls: list[tuple[str, str, list[Any]]] = [(interface(0), name, []) for name, _ in called]
    assert await call(plain, outcome, calls) == expected
