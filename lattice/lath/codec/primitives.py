"""The primitive types: their ranges, and the checks that both ways of the codec share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from lath.codec.mismatch import expected
from lath.wit.types import PrimitiveKind

Closure: TypeAlias = Callable[[Any], Any]

INTEGER_RANGES: Final[dict[str, tuple[int, int]]] = {
    "u8": (0, 2**8 - 1),
    "s8": (-(2**7), 2**7 - 1),
    "u16": (0, 2**16 - 1),
    "s16": (-(2**15), 2**15 - 1),
    "u32": (0, 2**32 - 1),
    "s32": (-(2**31), 2**31 - 1),
    "u64": (0, 2**64 - 1),
    "s64": (-(2**63), 2**63 - 1),
}
MAP_KEYS: Final = frozenset(INTEGER_RANGES) | {"bool", "char", "string"}
"""What a key of a `map` may be: whatever compares by equality alone."""
F32_MAX: Final = 3.4028234663852886e38
"""The largest finite float32."""


def checker(kind: PrimitiveKind) -> Closure:
    """A closure that gives back a value of exactly the wire's form, and raises `Mismatch` for any other."""
    if kind in INTEGER_RANGES:
        return _integer(kind, *INTEGER_RANGES[kind])
    match kind:
        case "bool":
            return _boolean
        case "string":
            return _string
        case "char":
            return char
        case "f32":
            return single
        case _:
            return double


def integer_words(kind: str) -> str:
    """`u32 (0 to 4294967295)`."""
    low, high = INTEGER_RANGES[kind]
    return f"{kind} ({low} to {high})"


def _integer(kind: str, low: int, high: int) -> Closure:
    words = integer_words(kind)

    def check(value: Any) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise expected(words, value)

    return check


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise expected("bool", value)


def _string(value: Any) -> str:
    if type(value) is str:
        return value
    raise expected("string", value)


def char(value: Any) -> str:
    """Checks a `char`: a string of one Unicode scalar value."""
    if type(value) is str and len(value) == 1 and not "\ud800" <= value <= "\udfff":
        return value
    raise expected("char (one Unicode scalar value)", value)


def double(value: Any) -> float:
    """Checks an `f64`. An integer that a float holds exactly will do: some languages write 1.0 as 1."""
    if type(value) is float:
        return value
    return _exact(value, "f64")


def single(value: Any) -> float:
    """Checks an `f32`: within the range of float32. It is rounded when it is written."""
    number = value if type(value) is float else _exact(value, "f32")
    if -F32_MAX <= number <= F32_MAX or not math.isfinite(number):
        return number
    raise expected(f"f32 (finite values up to {F32_MAX})", value)


def _exact(value: Any, kind: str) -> float:
    if type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            raise expected(kind, value) from None
        if number == value:
            return number
    raise expected(kind, value)
