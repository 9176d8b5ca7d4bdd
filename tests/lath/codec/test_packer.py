"""`wire_packer`: floats at the width of their type."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wit_strategies import funcs, steady, types, wire_params, wire_values

from lath.codec import pack, params_packer, result_packer, unpack, wire_packer
from lath.errors import InvalidArgument
from lath.wit.types import (
    Case,
    Field,
    Func,
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

F32, F64, U32, STRING = Primitive("f32"), Primitive("f64"), Primitive("u32"), Primitive("string")


def single(value: float) -> bytes:
    return b"\xca" + struct.pack(">f", value)


def double(value: float) -> bytes:
    return b"\xcb" + struct.pack(">d", value)


@steady
@given(st.data())
def test_what_is_packed_by_type_is_the_same_value(data: st.DataObject) -> None:
    kind = data.draw(types(with_handles=True))
    value = data.draw(wire_values(kind))
    assert unpack(wire_packer(kind)(value)) == value


@steady
@given(st.data())
def test_parameters_are_packed_as_one_list(data: st.DataObject) -> None:
    func = data.draw(funcs(with_handles=True))
    params = data.draw(wire_params(func))
    assert unpack(params_packer(func)(params)) == params


def test_f32_is_written_as_float32_and_f64_as_float64() -> None:
    assert wire_packer(F32)(1.5) == single(1.5)
    assert wire_packer(F64)(1.5) == double(1.5)
    assert wire_packer([F32, U32])([1.5, 2]) == b"\x92" + single(1.5) + b"\x02"
    assert wire_packer([F32, F64])([1.5, 2.5]) == b"\x92" + single(1.5) + double(2.5)
    assert math.isnan(unpack(wire_packer([F32, F64])([math.nan, 1.0]))[0])


def test_a_signature_without_f32_uses_the_plain_packer() -> None:
    func = Func((Field("a", F64), Field("b", STRING)), None)
    assert params_packer(func) is result_packer(func) is wire_packer(F64)
    assert params_packer(func)([1.5, "x"]) == pack([1.5, "x"])


@pytest.mark.parametrize(
    ("kind", "value", "data"),
    [
        (ListOf(TupleOf((F32, F64))), [[1.5, 2.5]], b"\x91\x92" + single(1.5) + double(2.5)),
        (
            Record((Field("a", F32), Field("b", F64))),
            {"a": 1.5, "b": 2.5},
            b"\x82\xa1a" + single(1.5) + b"\xa1b" + double(2.5),
        ),
        (Variant((Case("a", F32), Case("b", F64), Case("c", None))), {"b": 1.5}, b"\x81\xa1b" + double(1.5)),
        (Variant((Case("a", F32), Case("b", F64), Case("c", None))), {"c": None}, b"\x81\xa1c\xc0"),
        (ResultOf(F32, F64), {"ok": 1.5}, b"\x81\xa2ok" + single(1.5)),
        (ResultOf(F32, F64), {"err": 1.5}, b"\x81\xa3err" + double(1.5)),
        (OptionOf(TupleOf((F32, F64))), None, b"\xc0"),
        (OptionOf(OptionOf(TupleOf((F32, F64)))), [[1.5, 2.5]], b"\x91\x92" + single(1.5) + double(2.5)),
        (OptionOf(OptionOf(TupleOf((F32, F64)))), [None], b"\x91\xc0"),
        (MapOf(U32, TupleOf((F32, F64))), {7: [1.5, 2.5]}, b"\x81\x07\x92" + single(1.5) + double(2.5)),
    ],
)
def test_both_widths_in_one_type_are_written_each_at_its_own(kind: Type, value: Any, data: bytes) -> None:
    assert wire_packer(kind)(value) == data


@pytest.mark.parametrize("value", [7, [1.5], [1.5, 2.5, 3.5], [1.5, object()], None])
def test_a_value_that_cannot_be_of_its_type_is_invalid_argument(value: Any) -> None:
    with pytest.raises(InvalidArgument):
        wire_packer(TupleOf((F32, F64)))(value)
