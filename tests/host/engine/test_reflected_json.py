"""What a component says about itself, written down and read back."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from engine_guests import MISCHIEF

from lath.wit.types import (
    Case,
    Enum,
    Field,
    Flags,
    Func,
    Handle,
    Interface,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
    World,
)  # fmt: skip
from lath_host.engine import Engine
from lath_host.engine.reflect import Reflected, reflect
from lath_host.engine.reflected_json import from_json, to_json
from lath_host.engine.values.exported import ExportedHandle
from lath_host.engine.values.local import LocalHandle

U8, TEXT = Primitive("u8"), Primitive("string")
COLOURS = Enum(("red", "green"))
TYPES: list[Type] = [
    U8,
    ListOf(ListOf(U8)),
    MapOf(TEXT, OptionOf(U8)),
    TupleOf((U8, TEXT)),
    TupleOf(()),
    OptionOf(OptionOf(COLOURS)),
    ResultOf(None, None),
    ResultOf(TEXT, COLOURS),
    Record((Field("a", U8), Field("b", COLOURS))),
    Variant((Case("none", None), Case("some", TEXT))),
    COLOURS,
    Flags(("r", "w")),
    Handle("own", "bucket", "lath:test/store@1.0.0"),
    ExportedHandle("borrow", "bucket", "lath:test/store@1.0.0"),
    LocalHandle("borrow", "pollable", "wasi:io/poll@0.2.3"),
]


def reread(reflected: Reflected) -> Reflected:
    return from_json(json.loads(json.dumps(to_json(reflected))))


def of_types(*types: Type) -> Reflected:
    functions = {f"f{index}": Func((Field("x", each),), each) for index, each in enumerate(types)}
    functions |= {"nothing": Func((), None), "later": Func((), None, is_async=True)}
    interface = Interface("lath:test/all@1.0.0", functions, ("bucket",), "label")
    return Reflected(
        World({"all": interface}, {}),
        {("all", "g"): "because"},
        {("", "h"): "of that"},
        {("", "i"): "or that"},
        {("a", "r"): ("b", "s")},
        frozenset({"twin", "other"}),
    )


def test_all_that_a_component_says_is_read_back() -> None:
    reflected = of_types(*TYPES)
    found = reread(reflected)
    assert found == reflected
    assert all(getattr(found, each.name) == getattr(reflected, each.name) for each in fields(Reflected))


@pytest.mark.parametrize("type_", TYPES, ids=repr)
def test_a_type_is_read_back_with_its_class_and_the_interface_of_its_handles(type_: Type) -> None:
    func = reread(of_types(type_)).world.imports["all"].functions["f0"]
    assert repr(func) == repr(Func((Field("x", type_),), type_))  # equality leaves out interfaces


def test_handles_of_one_name_and_two_interfaces_stay_apart() -> None:
    one, other = (Handle("own", "bucket", f"lath:test/{name}@1.0.0") for name in ("one", "other"))
    functions = reread(of_types(one, other)).world.imports["all"].functions
    assert repr((functions["f0"].result, functions["f1"].result)) == repr((one, other))


def test_what_several_functions_have_in_common_is_written_once() -> None:
    assert to_json(of_types(*[COLOURS] * 50))["types"] == [("enum", COLOURS.cases)]


async def test_a_compiled_component_is_read_back_as_it_was_reflected(engine: Engine) -> None:
    compiled = await engine.compile(MISCHIEF)
    reflected = reflect(await compiled.prepared(metered=False), compiled.wasm(metered=False))
    found = reread(reflected)
    assert found == reflected
    assert repr(found.world) == repr(reflected.world)
