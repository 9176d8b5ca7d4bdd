"""The canonical ABI, as far as composing needs it: how a type lies flat and in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Literal

from lath.wit.types import (
    Enum,
    Flags,
    Func,
    Handle,
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

CoreType = Literal["i32", "i64", "f32", "f64"]

FLAT_PARAMS_MAX: Final = 16
FLAT_RESULTS_MAX: Final = 1
"""More pass through memory, as an address."""

_SCALAR_BYTES: Final[dict[PrimitiveKind, int]] = {
    "bool": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4, "s64": 8, "u64": 8,
    "f32": 4, "f64": 8, "char": 4,
}  # fmt: skip
_SPAN: Final = (8, 4)
"""Address and length."""
_WIDE: Final[dict[PrimitiveKind, CoreType]] = {"s64": "i64", "u64": "i64", "f32": "f32", "f64": "f64"}


@dataclass(frozen=True)
class CoreFunc:
    """A lifted function as core code sees it.

    Attributes:
        params: Its parameters; one address where they pass through memory.
        results: None or one; an address where the result passes through memory.
        returned: (size, alignment) of a result that passes through memory; None where none does.
    """

    params: tuple[CoreType, ...]
    results: tuple[CoreType, ...]
    returned: tuple[int, int] | None


def core_func(func: Func) -> CoreFunc:
    """The core signature of a function that is lifted with the type `func`."""
    params = flat_params(func)
    results = flat(func.result) if func.result else []
    returned = None
    if func.result and len(results) > FLAT_RESULTS_MAX:
        returned, results = size_of(func.result), ["i32"]
    if len(params) > FLAT_PARAMS_MAX:
        params = ["i32"]
    return CoreFunc(tuple(params), tuple(results), returned)


def flat_params(func: Func) -> list[CoreType]:
    """The parameters as core values, however many they are."""
    return [core for param in func.params for core in flat(param.type)]


def flat(type_: Type) -> list[CoreType]:
    """The core values that a value consists of."""
    match type_:
        case Primitive(kind="string") | ListOf() | MapOf():
            return ["i32", "i32"]
        case Primitive(kind=kind):
            return [_WIDE.get(kind, "i32")]
        case Record() | TupleOf():
            return [core for part in members_of(type_) for core in flat(part)]
        case Variant() | OptionOf() | ResultOf():
            return ["i32", *_joined(flat(payload) if payload else [] for payload in payloads_of(type_))]
        case Enum() | Flags() | Handle():
            return ["i32"]


def _joined(cases: Iterable[Sequence[CoreType]]) -> list[CoreType]:
    """Core values that have room for each of the cases."""
    joined: list[CoreType] = []
    for case in cases:
        pairs = zip_longest(joined, case)
        joined = [_join(left, right) if left and right else left or right or "i32" for left, right in pairs]
    return joined


def _join(left: CoreType, right: CoreType) -> CoreType:
    if left == right:
        return left
    return "i32" if {left, right} == {"i32", "f32"} else "i64"


def size_of(type_: Type) -> tuple[int, int]:
    """Size and alignment in memory, in bytes."""
    match type_:
        case Primitive(kind="string") | ListOf() | MapOf():
            return _SPAN
        case Primitive(kind=kind):
            return _SCALAR_BYTES[kind], _SCALAR_BYTES[kind]
        case Record() | TupleOf():
            return _together(map(size_of, members_of(type_)))
        case Variant() | OptionOf() | ResultOf():
            payloads = payloads_of(type_)
            return _tagged(tag_bytes(len(payloads)), [size_of(each) for each in payloads if each])
        case Enum(cases=cases):
            return tag_bytes(len(cases)), tag_bytes(len(cases))
        case Flags(labels=labels):
            size = 1 if len(labels) <= 8 else 2 if len(labels) <= 16 else 4
            return size, size
        case Handle():
            return 4, 4


def _together(parts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    at, alignment = 0, 1
    for size, align in parts:
        at = aligned(at, align) + size
        alignment = max(alignment, align)
    return aligned(at, alignment), alignment


def _tagged(tag: int, payloads: list[tuple[int, int]]) -> tuple[int, int]:
    payload = max((size for size, _ in payloads), default=0)
    payload_align = max((align for _, align in payloads), default=1)
    alignment = max(tag, payload_align)
    return aligned(aligned(tag, payload_align) + payload, alignment), alignment


def payload_offset(type_: Variant | OptionOf | ResultOf) -> int:
    """Where in memory the payload lies behind the number of the case, in bytes."""
    payloads = payloads_of(type_)
    return aligned(tag_bytes(len(payloads)), max((size_of(each)[1] for each in payloads if each), default=1))


def tag_bytes(cases: int) -> int:
    """How wide the number of a case is in memory."""
    return 1 if cases <= 1 << 8 else 2 if cases <= 1 << 16 else 4


def aligned(at: int, alignment: int) -> int:
    """The first address from `at` on that is a multiple of `alignment`."""
    return (at + alignment - 1) // alignment * alignment


def members_of(type_: Record | TupleOf) -> list[Type]:
    """What lies one after the other."""
    return [field.type for field in type_.fields] if isinstance(type_, Record) else list(type_.elements)


def payloads_of(type_: Variant | OptionOf | ResultOf) -> list[Type | None]:
    """What each case carries, by the case's number."""
    match type_:
        case Variant(cases=cases):
            return [case.type for case in cases]
        case OptionOf(inner=inner):
            return [None, inner]
        case ResultOf(ok=ok, err=err):
            return [ok, err]
