"""WIT values as JSON."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import ExtType
from wit_strategies import funcs, steady, types, wire_params, wire_values

from lath.codec import (
    FuncCodec,
    params_from_json,
    params_to_json,
    result_to_json,
    value_from_json,
    value_to_json,
)
from lath.errors import InvalidArgument
from lath.wit.types import (
    Case,
    Enum,
    Field,
    Flags,
    Func,
    Handle,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)

STRING, U32, F64 = Primitive("string"), Primitive("u32"), Primitive("f64")
DATA = ListOf(Primitive("u8"))
POINT = Record((Field("x", U32), Field("y-axis", OptionOf(STRING))))
ERROR = Variant((Case("no-such-store", None), Case("other", STRING)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@steady
@given(st.data())
def test_values_survive_the_way_through_json(data: st.DataObject) -> None:
    kind = data.draw(types(with_handles=True))
    wire = data.draw(wire_values(kind))
    text = json.dumps(value_to_json(kind, wire), allow_nan=False)
    assert value_from_json(kind, json.loads(text)) == wire
    assert json.dumps(value_to_json(kind, value_from_json(kind, json.loads(text)))) == text


@steady
@given(st.data())
def test_parameters_survive_the_way_through_json(data: st.DataObject) -> None:
    func = data.draw(funcs(with_handles=True))
    wire = data.draw(wire_params(func))
    values = json.loads(json.dumps(params_to_json(func, wire)))
    assert params_from_json(func, values) == wire
    FuncCodec(func).params_from_wire(params_from_json(func, values))


@steady
@given(types(with_handles=True), JSON)
def test_any_json_gives_a_value_or_invalid_argument(kind: Type, value: Any) -> None:
    with contextlib.suppress(InvalidArgument):
        FuncCodec(Func((), kind)).result_from_wire(value_from_json(kind, value))


@pytest.mark.parametrize(
    ("kind", "value", "wire", "back"),
    [
        (DATA, "häi\n", "häi\n".encode(), "häi\n"),
        (DATA, {"base64": "aGk="}, b"hi", "hi"),
        (DATA, {"base64": "/w=="}, b"\xff", {"base64": "/w=="}),
        (DATA, {"base64": "AAE="}, b"\0\x01", {"base64": "AAE="}),
        (F64, 3, 3.0, 3.0),
        (F64, "-Infinity", float("-inf"), "-Infinity"),
        (POINT, {"x": 1}, {"x": 1, "y-axis": None}, {"x": 1, "y-axis": None}),
        (POINT, {"x": 1, "y_axis": "a"}, {"x": 1, "y-axis": "a"}, {"x": 1, "y-axis": "a"}),
        (ERROR, "no-such-store", {"no-such-store": None}, "no-such-store"),
        (ERROR, {"no_such_store": None}, {"no-such-store": None}, "no-such-store"),
        (ERROR, {"other": "x"}, {"other": "x"}, {"other": "x"}),
        (Flags(("a", "b")), ["b", "a"], ["a", "b"], ["a", "b"]),
        (OptionOf(OptionOf(U32)), [None], [None], [None]),
        (ResultOf(None, STRING), {"ok": None}, {"ok": None}, {"ok": None}),
        (MapOf(STRING, U32), {"a": 1}, {"a": 1}, {"a": 1}),
        (MapOf(U32, STRING), [[1, "a"]], {1: "a"}, [[1, "a"]]),
        (TupleOf((U32, STRING)), [1, "a"], [1, "a"], [1, "a"]),
        (Handle("own", "bucket"), {"resource": "YQ=="}, ExtType(1, b"a"), {"resource": "YQ=="}),
        (
            Handle("own", "bucket"),
            {"component-resource": "YQ=="},
            ExtType(2, b"a"),
            {"component-resource": "YQ=="},
        ),
    ],
)
def test_json_forms_are_as_described(kind: Type, value: Any, wire: Any, back: Any) -> None:
    assert value_from_json(kind, value) == wire
    assert value_to_json(kind, wire) == back


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (U32, "7", "parameter 'r': expected u32 (0 to 4294967295), got '7'"),
        (U32, 7.0, "parameter 'r': expected u32 (0 to 4294967295), got 7.0"),
        (F64, "much", "parameter 'r': expected f64, got 'much'"),
        (STRING, "\ud800", "parameter 'r': expected string, got one with a lone surrogate at position 0"),
        (DATA, "\ud800", "parameter 'r': expected string, got one with a lone surrogate at position 0"),
        (DATA, [1], 'parameter \'r\': expected list<u8> (text, or {"base64": "…"}), got a list of 1'),
        (DATA, {"base64": "?"}, "parameter 'r': expected base64, got '?'"),
        (DATA, {"base64": 5}, "parameter 'r': expected base64, got 5"),
        (POINT, {"y-axis": None}, "parameter 'r': the field 'x' of the record is missing"),
        (POINT, {"x": 1, "z": 1}, "parameter 'r': the record has no field 'z', only x, y-axis"),
        (
            ListOf(POINT),
            [{"x": -1}],
            "parameter 'r', element 0, field 'x': expected u32 (0 to 4294967295), got -1",
        ),
        (ERROR, "never", "parameter 'r': expected one of the cases no-such-store, other, got 'never'"),
        (ERROR, "other", "parameter 'r', case 'other': expected string, got none"),
        (
            ERROR,
            {"no-such-store": 1},
            "parameter 'r', case 'no-such-store': expected null (this case carries no value), got 1",
        ),
        (Enum(("a", "b")), "c", "parameter 'r': expected one of a, b, got 'c'"),
        (Flags(("a",)), "a", "parameter 'r': expected a list of flags, got 'a'"),
        (MapOf(STRING, U32), [["a", 1]], "parameter 'r': expected a map (an object), got a list of 1"),
        (MapOf(U32, STRING), [[1]], "parameter 'r': expected a list [key, value], got a list of 1"),
        (MapOf(U32, STRING), [[1, "a"], [1, "b"]], "parameter 'r': the key 1 stands there twice"),
        (MapOf(U32, STRING), [[1, 2]], "parameter 'r', key 1: expected string, got 2"),
        (TupleOf((U32,)), [1, 2], "parameter 'r': expected a tuple (a list of 1), got a list of 2"),
        (
            OptionOf(OptionOf(U32)),
            5,
            "parameter 'r': expected null, or a list of the one value (an option within an option), got 5",
        ),
        (
            ResultOf(U32, None),
            5,
            'parameter \'r\': expected a result ({"ok": …} or {"err": …}), got 5',
        ),
        (
            Handle("own", "bucket"),
            "x",
            "parameter 'r': expected a handle to a bucket "
            '({"resource": "<base64>"} or {"component-resource": "<base64>"}), got \'x\'',
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(kind: Type, value: Any, problem: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        params_from_json(Func((Field("r", kind),), None), [value])
    assert caught.value.message == problem


def test_a_wrong_number_of_parameters_shows_the_signature() -> None:
    func = Func((Field("key", STRING), Field("value", DATA)), None)
    for convert in (params_from_json, params_to_json):
        with pytest.raises(InvalidArgument) as caught:
            convert(func, ["a"])
        assert caught.value.message == "expected 2 parameters (key: string, value: list<u8>), got 1"


def test_a_result_is_checked_on_its_way_to_json() -> None:
    assert result_to_json(Func((), ResultOf(U32, STRING)), {"ok": 5}) == {"ok": 5}
    assert result_to_json(Func((), None), None) is None
    with pytest.raises(InvalidArgument, match="result, ok: expected u32"):
        result_to_json(Func((), ResultOf(U32, STRING)), {"ok": "5"})


def test_very_deep_json_is_refused() -> None:
    deep: Any = None
    for _ in range(5000):
        deep = [deep]
    for kind in (U32, POINT, MapOf(U32, STRING), DATA, Handle("own", "r"), OptionOf(OptionOf(U32))):
        with pytest.raises(InvalidArgument):
            value_from_json(kind, deep)
    with pytest.raises(InvalidArgument):
        value_from_json(MapOf(U32, STRING), [[deep, "a"]])
