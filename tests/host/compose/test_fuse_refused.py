"""What cannot be fused is refused with its reason, and nothing else happens."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from bridge_components import FAR, NEAR, relay
from engine_guests import MISCHIEF, SLEEPER
from fuse_calls import ASK, COUNT, FRONT, HELLO, JOINED_ATOMICS, JOINED_STORE, MISCHIEF_NAME, fused, renamed
from fuse_components import KEEPER, USER, Passed, front
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import wat2wasm

from lath.errors import InvalidArgument
from lath_host.engine import Engine
from lath_host.engine.compose.fuse import CannotFuse, Join, Part, fuse

CALLER = front(FRONT, [Passed(f'"{MISCHIEF_NAME}"', "hello", HELLO, "hello")])
JOIN = ("a", MISCHIEF_NAME, "b", MISCHIEF_NAME)
LOOP = renamed(relay(ASK), far=NEAR, near=FAR)
OWN_MODULE = b'(component (import "m" (core module)) (component $c) (export "c" (component $c)))'


@pytest.mark.parametrize(
    ("sources", "joins", "reason"),
    [
        ({"a": relay(ASK), "b": LOOP}, [("a", FAR, "b", FAR), ("b", NEAR, "a", NEAR)], "a -> b -> a"),
        ({"a": renamed(relay(ASK), near=FAR)}, [("a", FAR, "a", FAR)], "in a circle: a -> a"),
        ({"a": CALLER, "b": MISCHIEF}, [JOIN, JOIN], "an import is joined twice"),
        ({"a": CALLER, "b": MISCHIEF}, [], "nothing that is joined calls b"),
        ({"a": CALLER}, [JOIN], "b is joined, but is no part"),
        ({"a": MISCHIEF, "b": MISCHIEF}, [JOIN], f"a does not import {MISCHIEF_NAME}"),
        ({"a": CALLER, "b": SLEEPER}, [JOIN], f"b has no export {MISCHIEF_NAME}"),
        ({}, [], "each part has to be given once"),
        ({"a": OWN_MODULE}, [], "a: the import m: it is a component or a core module"),
        ({"a": b'(component (component $c) (export "c" (component $c)))'}, [], "a: the export c is a comp"),
    ],
)  # fmt: skip
def test_what_cannot_be_fused_is_refused_with_the_reason(
    sources: dict[str, bytes], joins: list[tuple[str, str, str, str]], reason: str
) -> None:
    with pytest.raises(CannotFuse, match=re.escape(reason)):
        fused(sources, *joins)


@pytest.mark.parametrize(("depth", "fits"), [(30, True), (60, False)])
def test_types_may_be_nested_up_to_a_limit(depth: int, fits: bool) -> None:
    source = f'(component (import "f" (func (param "a" {"(list " * depth}u8{")" * depth}))))'.encode()
    refusal = pytest.raises(CannotFuse, match="a: the import f: types refer to each other too often")
    with contextlib.nullcontext() if fits else refusal:
        assert fused({"a": source}).imports == {"f": ("a", "f")}


async def test_a_joint_of_other_types_is_refused_by_wasmtime(either: Engine) -> None:
    caller = front(FRONT, [Passed(f'"{MISCHIEF_NAME}"', "hello", COUNT, "hello")])
    outcome = fused({"a": caller, "b": MISCHIEF}, JOIN)
    with pytest.raises(InvalidArgument, match="type mismatch"):
        await either.compile(outcome.source)


WHOLE = {name: bytes(wat2wasm(source)) for name, source in {"user": USER, "keeper": KEEPER}.items()}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_components_are_refused_or_fused_and_nothing_else(data: Any) -> None:
    damaged = dict(WHOLE)
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    source = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 4))):
        source[data.draw(st.integers(0, len(source) - 1))] = data.draw(st.integers(0, 255))
    damaged[name] = bytes(source[: data.draw(st.integers(0, len(source)) | st.just(len(source)))])
    parts = [Part(each, damaged[each]) for each in ("user", "keeper")]
    shared = data.draw(st.booleans())
    with contextlib.suppress(CannotFuse):
        outcome = fuse(parts, [Join(*JOINED_STORE), Join(*JOINED_ATOMICS)], lambda interface: shared)
        assert outcome.source.startswith(b"\0asm")
