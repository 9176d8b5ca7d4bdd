"""What a caller gives its callee arrives as it was, and so does the answer, wherever the two run."""

from __future__ import annotations

import math
from typing import Any

import guests
import pytest
from engine_components import echo, forward
from placed_guests import at_interface

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
    Variant,
)

from .conftest import Placed

FAR = "lath:test/far@1.0.0"
BYTES = ListOf(Primitive("u8"))
NUMBERS: dict[PrimitiveKind, list[Any]] = {
    "u8": [0, 255], "s8": [-128, 127], "u16": [0, 2**16 - 1], "s16": [-(2**15), 2**15 - 1],
    "u32": [0, 2**32 - 1], "s32": [-(2**31), 2**31 - 1], "u64": [0, 2**64 - 1], "s64": [-(2**63), 2**63 - 1],
    "f32": [0.1015625, -math.inf], "f64": [-0.1, 5e-324],
}  # fmt: skip
EVERYTHING = Record(
    (
        *(Field(f"a-{kind}", Primitive(kind)) for kind in NUMBERS),
        *(Field(f"many-{kind}", ListOf(Primitive(kind))) for kind in NUMBERS if kind != "u8"),
        Field("bool", Primitive("bool")),
        Field("char", Primitive("char")),
        Field("text", Primitive("string")),
        Field("bytes", BYTES),
        Field("texts", ListOf(Primitive("string"))),
        Field("tuple", TupleOf((Primitive("u8"), BYTES, Primitive("string")))),
        Field(
            "record", Record((Field("inner", OptionOf(Primitive("u32"))), Field("flag", Primitive("bool"))))
        ),
        Field(
            "variant",
            Variant((Case("nothing", None), Case("bytes", BYTES), Case("number", Primitive("f64")))),
        ),
        Field("enum", Enum(("red", "green-ish"))),
        Field("flags", Flags(("read", "write", "run"))),
        Field("option", OptionOf(OptionOf(OptionOf(Primitive("string"))))),
        Field("result", ResultOf(BYTES, Primitive("string"))),
        Field("empty-result", ResultOf(None, None)),
        Field("map", MapOf(Primitive("string"), ListOf(Primitive("u16")))),
    )
)
ONE = {
    **{f"a-{kind}": low for kind, (low, _) in NUMBERS.items()},
    **{f"many-{kind}": values for kind, values in NUMBERS.items() if kind != "u8"},
    "bool": True, "char": "\U0001f40d", "text": "žluť\0 \U0001f40d", "bytes": bytes(range(256)),
    "texts": ["", "a"], "tuple": [7, b"\xff", "x"], "record": {"inner": 5, "flag": False},
    "variant": {"bytes": b"\0\x80"}, "enum": "green-ish", "flags": ["read", "run"], "option": [["x"]],
    "result": {"ok": b"\xfe"}, "empty-result": {"ok": None}, "map": {"ключ": [1, 2], "": []},
}  # fmt: skip
OTHER = {
    **{f"a-{kind}": high for kind, (_, high) in NUMBERS.items()},
    **{f"many-{kind}": [] for kind in NUMBERS if kind != "u8"},
    "bool": False, "char": "a", "text": "", "bytes": b"", "texts": [], "tuple": [0, b"", ""],
    "record": {"inner": None, "flag": True}, "variant": {"nothing": None}, "enum": "red", "flags": [],
    "option": [[None]], "result": {"err": "no"}, "empty-result": {"err": None}, "map": {},
}  # fmt: skip


async def test_every_kind_of_value_comes_back_as_it_was(placed: Placed) -> None:
    await placed.pair(forward(EVERYTHING), at_interface(echo(EVERYTHING), FAR), FAR)
    values = [
        ONE,
        OTHER,
        {**ONE, "option": None},
        {**ONE, "option": [None]},
        {**OTHER, "variant": {"number": 2.5}},
    ]
    assert await placed.call_world("echo", values) == values
    assert await placed.call_world("echo", []) == []


async def test_not_a_number_stays_not_a_number(placed: Placed) -> None:
    kind = TupleOf((Primitive("f32"), Primitive("f64")))
    await placed.pair(forward(kind), at_interface(echo(kind), FAR), FAR)
    ((single, double),) = await placed.call_world("echo", [[math.nan, math.nan]])
    assert math.isnan(single) and math.isnan(double)


@pytest.mark.parametrize("size", [1024 * 1024, 10 * 1024 * 1024])
async def test_large_bytes_come_back_as_they_were(placed: Placed, size: int) -> None:
    await placed.pair(forward(BYTES), at_interface(echo(BYTES), FAR), FAR)
    data = bytes(range(251)) * (size // 251 + 1)
    assert await placed.call_world("echo", [data[:size], b"", data[:3]]) == [data[:size], b"", data[:3]]


async def test_large_text_comes_back_as_it_was(placed: Placed) -> None:
    await placed.pair(guests.relay(), guests.echo())
    text = "lath é \U0001f40d " * 500_000
    assert await placed.say(text) == text
