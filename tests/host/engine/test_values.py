"""Every WIT type goes through a real guest and comes back as it was."""

from __future__ import annotations

import math
from typing import Any

import pytest
from engine_components import echo, forward
from engine_guests import no_imports
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wit_strategies import types, wire_values

from lath.errors import InvalidArgument
from lath.wit.types import (
    Case,
    Enum,
    Field,
    Flags,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    PrimitiveKind,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)  # fmt: skip
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

REUSE = Limits(reuse=True)


async def through_guest(engine: Engine, type_: Type, values: list[Any]) -> Any:
    compiled = await engine.compile(echo(type_))
    assert compiled.world.exports[""].functions["echo"].result == ListOf(type_)
    async with InstancePool(engine, compiled, REUSE, no_imports, name="echo") as pool:
        return await pool.call("", "echo", [values], context=CallContext())


def is_bytes(type_: Type) -> bool:
    return type_ == Primitive("u8")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), type_=types())
async def test_a_random_type_comes_back_from_a_guest_as_it_was(
    engine: Engine, data: Any, type_: Type
) -> None:
    values: Any = data.draw(st.lists(wire_values(type_), max_size=3))
    if is_bytes(type_):
        values = bytes(values)
    assert await through_guest(engine, type_, values) == values


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), type_=types())
async def test_a_random_type_passes_an_import_both_ways(engine: Engine, data: Any, type_: Type) -> None:
    values: Any = data.draw(st.lists(wire_values(type_), max_size=3))
    if is_bytes(type_):
        values = bytes(values)
    seen: list[Any] = []

    async def far(import_: Import, context: CallContext, params: list[Any]) -> Any:
        assert (import_.name, import_.function) == ("lath:test/far@1.0.0", "echo")
        seen.append(params)
        return params[0]

    compiled = await engine.compile(forward(type_))
    async with InstancePool(engine, compiled, REUSE, far, name="forward") as pool:
        assert await pool.call("", "echo", [values], context=CallContext()) == values
    assert seen == [[values]]


NUMBERS: list[tuple[PrimitiveKind, list[Any]]] = [
    ("bool", [True, False]),
    ("s8", [-128, 0, 127]),
    ("u16", [0, 65535]),
    ("s16", [-32768, 32767]),
    ("u32", [0, 1, 2**32 - 1]),
    ("s32", [-(2**31), 2**31 - 1]),
    ("u64", [0, 2**64 - 1]),
    ("s64", [-(2**63), 2**63 - 1]),
    ("f32", [0.5, -0.0, math.inf, -math.inf]),
    ("f64", [1e308, 5e-324, math.inf, -math.inf]),
    ("char", ["a", "\0", "é", "😀", "\U0010ffff"]),
    ("string", ["", "a\0b", "Grüße 😀", "x" * 10_000]),
]


@pytest.mark.parametrize(("kind", "values"), NUMBERS)
async def test_the_edges_of_a_primitive_come_back(
    engine: Engine, kind: PrimitiveKind, values: list[Any]
) -> None:
    assert await through_guest(engine, Primitive(kind), values) == values


@pytest.mark.parametrize("kind", ["f32", "f64"])
async def test_nan_comes_back_as_nan(engine: Engine, kind: PrimitiveKind) -> None:
    (back,) = await through_guest(engine, Primitive(kind), [math.nan])
    assert math.isnan(back)


async def test_a_megabyte_of_bytes_comes_back(engine: Engine) -> None:
    data = bytes(range(256)) * 4096
    assert await through_guest(engine, Primitive("u8"), data) == data  # type: ignore[arg-type]


async def test_nested_options_tell_none_from_some_of_none(engine: Engine) -> None:
    nested = OptionOf(OptionOf(Primitive("u8")))
    assert await through_guest(engine, nested, [None, [None], [5]]) == [None, [None], [5]]


async def test_flags_come_back_once_each_and_in_declared_order(engine: Engine) -> None:
    flags = Flags(tuple(f"flag-{n}" for n in range(32)))
    assert await through_guest(engine, flags, [["flag-31", "flag-0", "flag-31"]]) == [["flag-0", "flag-31"]]


POINT = Record((Field("n", Primitive("u32")), Field("label", OptionOf(Primitive("string")))))
SHAPE = Variant((Case("circle", Primitive("f64")), Case("empty", None)))
WRONG: list[tuple[Type, Any, str]] = [
    (Primitive("u32"), -1, "expected u32 (0 to 4294967295), got '-1'"),
    (Primitive("u32"), True, "expected u32"),
    (Primitive("u32"), "x", "got 'x'"),
    (Primitive("s8"), 128, "expected s8 (-128 to 127)"),
    (Primitive("bool"), 1, "expected bool"),
    (Primitive("f32"), 1e300, "expected f32, within its range"),
    (Primitive("f64"), "1", "expected f64"),
    (Primitive("char"), "ab", "expected char"),
    (Primitive("char"), "\ud800", "expected char"),
    (Primitive("string"), "\ud800", "without surrogates"),
    (Primitive("string"), b"x", "expected string"),
    (ListOf(Primitive("u8")), "text", "expected bytes"),
    (ListOf(Primitive("u16")), [1, 70000], "element 1: expected u16"),
    (ListOf(Primitive("f32")), [1.0, 1e300], "element 1: expected f32"),
    (ListOf(Primitive("string")), {"a": 1}, "expected list"),
    (POINT, {"n": "x", "label": None}, "field 'n': expected u32"),
    (POINT, {"n": 1}, "'label' is missing"),
    (POINT, {"n": 1, "label": None, "m": 2}, "no field 'm'"),
    (POINT, {"n": 1, "m": 2}, "'label' is missing"),
    (POINT, [1, None], "record with the fields n, label"),
    (SHAPE, {"circle": "x"}, "case 'circle': expected f64"),
    (SHAPE, {"empty": 1}, "case 'empty': expected nil"),
    (SHAPE, {"square": 1}, "one of the cases circle, empty"),
    (SHAPE, "circle", "expected variant"),
    (Enum(("red", "green")), "blue", "expected one of red, green"),
    (Enum(("red", "green")), ["red"], "expected one of red, green"),
    (Flags(("a", "b")), ["a", "c"], "list of flags out of a, b"),
    (TupleOf((Primitive("bool"), Primitive("u8"))), [True], "expected tuple of 2"),
    (TupleOf((Primitive("bool"), Primitive("u8"))), [True, 300], "element 1: expected u8"),
    (OptionOf(OptionOf(Primitive("u8"))), 5, "expected nil, or a list of the one value"),
    (ResultOf(Primitive("u8"), None), {"ok": 300}, "ok: expected u8"),
    (ResultOf(Primitive("u8"), None), {"err": 1}, "err: expected nil"),
    (ResultOf(None, None), {"fine": None}, "expected result"),
    (MapOf(Primitive("string"), Primitive("u8")), {"k": 300}, "key 'k': expected u8"),
    (MapOf(Primitive("string"), Primitive("u8")), [], "expected map"),
]


@pytest.mark.parametrize(("type_", "value", "message"), WRONG)
async def test_a_value_of_the_wrong_type_is_refused_by_its_path(
    engine: Engine, type_: Type, value: Any, message: str
) -> None:
    compiled = await engine.compile(echo(type_))
    async with InstancePool(engine, compiled, REUSE, no_imports, name="echo") as pool:
        with pytest.raises(InvalidArgument) as raised:
            await pool.call("", "echo", [[value]], context=CallContext())
        assert pool.stats.calls == 0
    assert "parameter 'a', element 0" in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize("params", [[], [[], []], {"a": []}])
async def test_a_wrong_number_of_parameters_is_refused(engine: Engine, params: Any) -> None:
    compiled = await engine.compile(echo(Primitive("u16")))
    async with InstancePool(engine, compiled, REUSE, no_imports, name="echo") as pool:
        with pytest.raises(InvalidArgument, match=r"expected (a list of )?1 \(a\)"):
            await pool.call("", "echo", params, context=CallContext())
