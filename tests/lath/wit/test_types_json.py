"""Descriptors as JSON."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wit_strategies import funcs, steady, types

from lath.errors import InvalidArgument
from lath.wit import load, packages
from lath.wit.text import render
from lath.wit.types import Func, Interface, Primitive, Type, World
from lath.wit.types_json import from_json, to_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["u32", "kind", "func", "name"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["list", "map", "tuple", "record", "variant", "enum", "own", "result", "kind", "name", "type"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@steady
@given(types(with_handles=True))
def test_types_survive_the_way_through_json(kind: Type) -> None:
    assert from_json(json.loads(json.dumps(to_json(kind)))) == kind


@steady
@given(funcs(with_handles=True))
def test_functions_survive_the_way_through_json(func: Func) -> None:
    assert from_json(json.loads(json.dumps(to_json(func))), Func) == func


def test_interfaces_and_worlds_survive_with_the_names_of_their_types() -> None:
    for package in packages():
        for interface in package.interfaces.values():
            back = from_json(json.loads(json.dumps(to_json(interface))), Interface)
            assert back == interface
            assert render(back) == render(interface)
        for world in package.worlds.values():
            assert from_json(json.loads(json.dumps(to_json(world))), World) == world


@steady
@given(JSON)
def test_any_json_gives_a_descriptor_or_invalid_argument(value: Any) -> None:
    with contextlib.suppress(InvalidArgument):
        from_json(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("u33", "'u33' is no type"),
        ({"lust": "u8"}, "'lust' is no type"),
        ({"kind": "package"}, "'package' is no kind"),
        ({"kind": "func"}, "params"),
        ({"enum": [1]}, "expected a name, got a int"),
        (None, "'None' is no type"),
    ],
)
def test_what_is_no_descriptor_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        from_json(value)


def test_types_nested_too_deep_are_refused() -> None:
    deep: Any = "u8"
    for _ in range(2000):
        deep = {"list": deep}
    with pytest.raises(InvalidArgument, match="nested deeper than 100"):
        from_json(deep)


def test_another_descriptor_than_expected_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="expected a WIT World, got a Interface"):
        from_json(to_json(load("wasi:keyvalue/store")), World)
    assert from_json("u32") == Primitive("u32")
