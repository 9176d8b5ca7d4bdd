"""`FuncCodec`: the values of one function, both ways."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections import namedtuple
from typing import Any

import pydantic
import pytest
from friendly_oracle import friendly
from hypothesis import given
from hypothesis import strategies as st
from msgpack import ExtType
from wit_strategies import INTEGER_RANGES, funcs, steady, types, wire_params, wire_values

from lath.codec import Err, FuncCodec, Ok, Record, Resource, Some, Variant, pack, unpack
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
    PrimitiveKind,
    ResultOf,
    TupleOf,
    Type,
)
from lath.wit.types import Record as RecordType
from lath.wit.types import Variant as VariantType

STRING, CHAR, BOOL = Primitive("string"), Primitive("char"), Primitive("bool")
U8, U32 = Primitive("u8"), Primitive("u32")
F32, F64 = Primitive("f32"), Primitive("f64")
POINT = RecordType((Field("x", U32), Field("y-axis", OptionOf(STRING))), "point")
ERROR = VariantType(
    (Case("no-such-store", None), Case("access-denied", None), Case("other", STRING)), "error"
)
COLOR = Enum(("red", "dark-blue"), "color")
FLAGS_32 = Flags(tuple(f"flag-{n}" for n in range(32)))


def one(kind: Type) -> FuncCodec:
    """The codec of `func(r: kind) -> kind`."""
    return FuncCodec(Func((Field("r", kind),), kind))


def sent(kind: Type, value: Any) -> Any:
    """The wire value that a friendly value becomes."""
    return unpack(one(kind).encode_result(value))


def got(kind: Type, wire: Any) -> Any:
    """The friendly value that a wire value becomes."""
    return one(kind).decode_result(pack(wire))


@steady
@given(st.data())
def test_friendly_values_survive_the_way_through_bytes(data: st.DataObject) -> None:
    func = data.draw(funcs(with_handles=True))
    wire = data.draw(wire_params(func))
    args = [friendly(param.type, value) for param, value in zip(func.params, wire, strict=True)]
    codec = FuncCodec(func)
    assert codec.decode_params(codec.encode_params(args)) == args
    assert codec.decode_params(pack(wire)) == args
    assert codec.params_to_wire(args) == wire
    assert unpack(codec.encode_params(args)) == wire


@steady
@given(st.data())
def test_results_survive_the_way_through_bytes(data: st.DataObject) -> None:
    kind = data.draw(types(with_handles=True))
    wire = data.draw(wire_values(kind))
    codec = one(kind)
    value = codec.result_from_wire(wire)
    assert value == friendly(kind, wire)
    assert codec.result_to_wire(value) == wire
    assert codec.decode_result(codec.encode_result(value)) == value


@steady
@given(types(with_handles=True), st.binary(max_size=48))
def test_arbitrary_bytes_give_values_or_invalid_argument(kind: Type, data: bytes) -> None:
    codec = one(kind)
    for decode in (codec.decode_params, codec.decode_result):
        with contextlib.suppress(InvalidArgument):
            decode(data)


@steady
@given(st.data())
def test_values_of_another_type_give_values_or_invalid_argument(data: st.DataObject) -> None:
    codec = one(data.draw(types(with_handles=True)))
    stranger = data.draw(types(with_handles=True).flatmap(wire_values))
    for convert in (codec.result_from_wire, codec.result_to_wire):
        with contextlib.suppress(InvalidArgument):
            convert(stranger)


@pytest.mark.parametrize("kind", sorted(INTEGER_RANGES))
def test_integers_are_held_to_their_range_both_ways(kind: PrimitiveKind) -> None:
    low, high = INTEGER_RANGES[kind]
    assert [got(Primitive(kind), low), got(Primitive(kind), high)] == [low, high]
    for value in (low - 1, high + 1):
        with pytest.raises(InvalidArgument, match=f"expected {kind} \\({low} to {high}\\), got {value}"):
            one(Primitive(kind)).result_to_wire(value)
        with pytest.raises(InvalidArgument, match=f"expected {kind}"):
            one(Primitive(kind)).result_from_wire(value)


@pytest.mark.parametrize(
    ("kind", "wire", "problem"),
    [
        (U32, "x", "parameter 'r': expected u32 (0 to 4294967295), got 'x'"),
        (U32, True, "parameter 'r': expected u32 (0 to 4294967295), got True"),
        (U32, 1.0, "parameter 'r': expected u32 (0 to 4294967295), got 1.0"),
        (BOOL, 1, "parameter 'r': expected bool, got 1"),
        (STRING, b"x", "parameter 'r': expected string, got 1 bytes"),
        (STRING, None, "parameter 'r': expected string, got none"),
        (CHAR, "ab", "parameter 'r': expected char (one Unicode scalar value), got 'ab'"),
        (CHAR, "", "parameter 'r': expected char (one Unicode scalar value), got ''"),
        (F64, "1", "parameter 'r': expected f64, got '1'"),
        (F64, 2**63 + 1, "parameter 'r': expected f64, got 9223372036854775809"),
        (F32, 1e300, "parameter 'r': expected f32 (finite values up to 3.4028234663852886e+38), got 1e+300"),
        (ListOf(U8), "x", "parameter 'r': expected list<u8> (bytes), got 'x'"),
        (ListOf(U8), [1], "parameter 'r': expected list<u8> (bytes), got a list of 1"),
        (ListOf(U32), [1, 2, -1], "parameter 'r', element 2: expected u32 (0 to 4294967295), got -1"),
        (ListOf(U32), {}, "parameter 'r': expected a list, got a map of 0"),
        (TupleOf((U32, STRING)), [1], "parameter 'r': expected a tuple of 2, got a list of 1"),
        (TupleOf((U32, STRING)), [1, 2], "parameter 'r', element 1: expected string, got 2"),
        (MapOf(STRING, U32), {"a": "b"}, "parameter 'r', key 'a': expected u32 (0 to 4294967295), got 'b'"),
        (MapOf(STRING, U32), {1: 2}, "parameter 'r', key 1: expected string, got 1"),
        (POINT, {"x": 1}, "parameter 'r': the field 'y-axis' of the record is missing"),
        (
            POINT,
            {"x": 1, "y-axis": None, "z": 1},
            "parameter 'r': the record has no field 'z', only x, y-axis",
        ),
        (
            POINT,
            {"x": "x", "y-axis": None},
            "parameter 'r', field 'x': expected u32 (0 to 4294967295), got 'x'",
        ),
        (POINT, [1, 2], "parameter 'r': expected a record with the fields x, y-axis, got a list of 2"),
        (
            ERROR,
            {"no": None},
            "parameter 'r': expected one of the cases no-such-store, access-denied, other, got 'no'",
        ),
        (
            ERROR,
            {},
            "parameter 'r': expected one of the cases no-such-store, access-denied, other, got a map of 0",
        ),
        (ERROR, {"other": 1}, "parameter 'r', case 'other': expected string, got 1"),
        (
            ERROR,
            {"access-denied": 1},
            "parameter 'r', case 'access-denied': expected nothing (this case carries no value), got 1",
        ),
        (COLOR, "blue", "parameter 'r': expected one of red, dark-blue, got 'blue'"),
        (Flags(("a", "b")), ["c"], "parameter 'r': expected flags out of a, b, got 'c'"),
        (Flags(("a", "b")), ["a", "a"], "parameter 'r': a flag stands there twice"),
        (Flags(("a", "b")), "a", "parameter 'r': expected a list of flags, got 'a'"),
        (
            OptionOf(OptionOf(U32)),
            5,
            "parameter 'r': expected none, or a list of the one value (an option within an option), got 5",
        ),
        (
            ResultOf(U32, None),
            {"fine": 1},
            "parameter 'r': expected a result ({'ok': …} or {'err': …}), got a map of 1",
        ),
        (ResultOf(U32, None), {"ok": "x"}, "parameter 'r', ok: expected u32 (0 to 4294967295), got 'x'"),
        (
            ResultOf(U32, None),
            {"err": "x"},
            "parameter 'r', err: expected nothing (this case carries no value), got 'x'",
        ),
        (Handle("own", "bucket"), b"x", "parameter 'r': expected a handle to a bucket, got 1 bytes"),
        (
            ListOf(POINT),
            [{"x": 1, "y-axis": 7}],
            "parameter 'r', element 0, field 'y-axis': expected string, got 7",
        ),
    ],
)
def test_a_wire_value_that_does_not_fit_is_refused_with_its_place(
    kind: Type, wire: Any, problem: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        one(kind).decode_params(pack([wire]))
    assert caught.value.message == problem


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (U32, None, "result: expected u32 (0 to 4294967295), got none"),
        (U32, True, "result: expected u32 (0 to 4294967295), got True"),
        (U32, 10**100, "result: expected u32 (0 to 4294967295), got an integer of 333 bits"),
        (STRING, "a\ud800", "result: expected string, got one with a lone surrogate at position 1"),
        (STRING, b"a", "result: expected string, got 1 bytes"),
        (CHAR, "\udfff", "result: expected char (one Unicode scalar value), got '\\udfff'"),
        (ListOf(U8), [1], "result: expected list<u8> (bytes), got a list of 1"),
        (ListOf(STRING), "abc", "result: expected a list, got 'abc'"),
        (
            POINT,
            object(),
            "result: expected a record with the fields x, y-axis, got a value of the Python type object",
        ),
        (POINT, {"x": 1}, "result: the field 'y-axis' of the record is missing"),
        (POINT, {"x": 1, "y_axis": 2, "z": 1}, "result: the record has no field 'z', only x, y-axis"),
        (POINT, Record(x=1, y_axis=3), "result, field 'y-axis': expected string, got 3"),
        (
            ERROR,
            "other-one",
            "result: expected one of the cases no-such-store, access-denied, other, got 'other-one'",
        ),
        (ERROR, "other", "result, case 'other': expected string, got none"),
        (COLOR, "green", "result: expected one of red, dark-blue, got 'green'"),
        (Flags(("a",)), {"z"}, "result: expected flags out of a, got 'z'"),
        (
            OptionOf(OptionOf(U32)),
            5,
            "result: expected None or Some(value) (an option within an option), got 5",
        ),
        (
            Handle("own", "bucket"),
            b"x",
            "result: expected a Resource (a handle to a bucket), got 1 bytes",
        ),
        (
            Handle("own", "bucket"),
            Resource(bytes(4097)),
            "result: a handle of 4097 bytes; at most 4096 are allowed",
        ),
        (ResultOf(U32, STRING), Err(5), "result, err: expected string, got 5"),
        (ListOf(ResultOf(U32, STRING)), [5], "result, element 0: expected Ok(value) or Err(error), got 5"),
    ],
)
def test_a_friendly_value_that_does_not_fit_is_refused_with_its_place(
    kind: Type, value: Any, problem: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        one(kind).encode_result(value)
    assert caught.value.message == problem


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_parameters_names_the_signature(count: int) -> None:
    codec = FuncCodec(Func((Field("key", STRING), Field("value", ListOf(U8))), None))
    message = f"expected 2 parameters (key: string, value: list<u8>), got {count}"
    with pytest.raises(InvalidArgument) as caught:
        codec.encode_params(["a"] * count)
    assert caught.value.message == message
    with pytest.raises(InvalidArgument) as caught:
        codec.decode_params(pack(["a"] * count))
    assert caught.value.message == message


def test_parameters_that_are_no_list_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="expected the list of parameters, got a map of 1"):
        one(U32).decode_params(pack({"r": 1}))


def test_a_function_without_result_carries_nil() -> None:
    codec = FuncCodec(Func((), None))
    assert codec.encode_result(None) == b"\xc0"
    assert codec.decode_result(b"\xc0") is None
    assert codec.decode_params(codec.encode_params([])) == []
    with pytest.raises(InvalidArgument, match="the function has no result"):
        codec.encode_result(1)


@dataclasses.dataclass
class Point:
    x: int
    y_axis: str | None = None


@dataclasses.dataclass(slots=True)
class SlottedPoint:
    x: int
    y_axis: str | None = None


class Model(pydantic.BaseModel):
    x: int
    y_axis: str | None = None


PointTuple = namedtuple("PointTuple", ["x", "y_axis"])


@pytest.mark.parametrize(
    "value",
    [
        Record(x=1, y_axis="a"),
        Point(1, "a"),
        SlottedPoint(1, "a"),
        Model(x=1, y_axis="a"),
        PointTuple(1, "a"),
        {"x": 1, "y_axis": "a"},
        {"x": 1, "y-axis": "a"},
    ],
)
def test_a_record_is_taken_from_whatever_has_its_fields(value: Any) -> None:
    assert sent(POINT, value) == {"x": 1, "y-axis": "a"}


def test_a_record_reads_by_attribute_and_by_name() -> None:
    record = got(
        RecordType((Field("keys", ListOf(STRING)), Field("class", U32))), {"keys": ["a"], "class": 1}
    )
    assert record.keys == record["keys"] == ["a"]
    assert record.class_ == 1
    assert list(record) == ["keys", "class_"]
    assert "keys" in record
    assert len(record) == 2
    assert record == {"keys": ["a"], "class_": 1}
    assert repr(record) == "Record(keys=['a'], class_=1)"
    with pytest.raises(AttributeError, match="no field 'other', only keys, class_"):
        _ = record.other


class Color(enum.StrEnum):
    RED = "red"
    BLUE = "dark-blue"


class PlainColor(enum.Enum):
    BLUE = "dark-blue"


class Number(enum.IntEnum):
    SEVEN = 7


def test_members_of_enums_stand_for_their_values() -> None:
    assert sent(COLOR, Color.BLUE) == sent(COLOR, PlainColor.BLUE) == sent(COLOR, "dark_blue") == "dark-blue"
    assert sent(Flags(("red", "dark-blue")), {Color.BLUE, Color.RED}) == ["red", "dark-blue"]
    assert sent(U32, Number.SEVEN) == 7
    assert type(one(STRING).result_to_wire(Color.RED)) is str


def test_a_variant_is_taken_as_variant_as_mapping_and_as_the_name_of_its_case() -> None:
    assert sent(ERROR, Variant("other", "x")) == sent(ERROR, {"other": "x"}) == {"other": "x"}
    assert sent(ERROR, "no-such-store") == sent(ERROR, Variant("no_such_store")) == {"no-such-store": None}
    assert got(ERROR, {"other": "x"}) == Variant("other", "x")


def test_lists_are_taken_from_any_iterable() -> None:
    assert sent(ListOf(U32), (n for n in (1, 2))) == sent(ListOf(U32), (1, 2)) == [1, 2]
    assert sent(ListOf(U8), bytearray(b"x")) == sent(ListOf(U8), memoryview(b"x")) == b"x"


def test_all_32_flags_travel_in_their_order() -> None:
    assert sent(FLAGS_32, reversed(FLAGS_32.labels)) == list(FLAGS_32.labels)
    assert got(FLAGS_32, list(FLAGS_32.labels)) == frozenset(FLAGS_32.labels)


def test_nested_options_tell_their_levels_apart() -> None:
    kind = OptionOf(OptionOf(OptionOf(U32)))
    for value, wire in [
        (None, None),
        (Some(None), [None]),
        (Some(Some(None)), [[None]]),
        (Some(Some(5)), [[5]]),
    ]:
        assert sent(kind, value) == wire
        assert got(kind, wire) == value
    assert sent(OptionOf(U32), Some(5)) == 5


def test_a_result_within_a_result_keeps_both_sides() -> None:
    kind = ResultOf(ResultOf(U32, None), ResultOf(None, STRING))
    for value, wire in [
        (Ok(Ok(5)), {"ok": {"ok": 5}}),
        (Ok(Err()), {"ok": {"err": None}}),
        (Err(Ok()), {"err": {"ok": None}}),
        (Err(Err("x")), {"err": {"err": "x"}}),
    ]:
        assert sent(kind, value) == wire
        assert got(kind, wire) == value


def test_a_plain_value_returned_by_a_function_with_a_result_is_its_good_side() -> None:
    assert sent(ResultOf(OptionOf(STRING), ERROR), None) == {"ok": None}
    assert sent(ResultOf(U32, ERROR), 5) == {"ok": 5}
    assert sent(ResultOf(U32, ERROR), Err("access-denied")) == {"err": {"access-denied": None}}


def test_handles_keep_their_bytes_and_whose_resource_they_are() -> None:
    kind = Handle("own", "bucket", "wasi:keyvalue/store@0.2.0-draft")
    assert sent(kind, Resource(b"a")) == ExtType(1, b"a")
    assert got(kind, ExtType(2, b"b")) == Resource(b"b", 2)


@pytest.mark.parametrize("text", ["", "ä", "日本", "🦀", "\0", "a" * 70_000, "é" * 40_000, "\u2028\ufeff"])
def test_text_of_every_kind_survives(text: str) -> None:
    assert got(STRING, text) == sent(STRING, text) == text


@pytest.mark.parametrize("char", ["a", "\0", "\ud7ff", "\ue000", "\U0010ffff"])
def test_every_scalar_value_is_a_char(char: str) -> None:
    assert got(CHAR, char) == sent(CHAR, char) == char


def test_integers_that_a_float_holds_exactly_will_do_for_floats() -> None:
    assert got(F64, 3) == sent(F64, 3) == 3.0
    assert type(got(F64, 3)) is float
    assert got(F32, float("inf")) == float("inf")


def test_floats_cannot_be_keys_of_a_map() -> None:
    with pytest.raises(InvalidArgument, match="map<f64, …> cannot travel"):
        one(MapOf(F64, U32))
