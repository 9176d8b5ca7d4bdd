"""How a `wasmtime_component_val_t` lies in memory: 32 bytes, the kind first, the payload from byte 8."""

from __future__ import annotations

from struct import Struct
from typing import Final

from lath.wit.types import PrimitiveKind

KINDS: Final[dict[PrimitiveKind, int]] = {
    "bool": 0, "s8": 1, "u8": 2, "s16": 3, "u16": 4, "s32": 5, "u32": 6, "s64": 7, "u64": 8,
    "f32": 9, "f64": 10, "char": 11, "string": 12,
}  # fmt: skip
LIST: Final = 13
RECORD: Final = 14
TUPLE: Final = 15
VARIANT: Final = 16
ENUM: Final = 17
OPTION: Final = 18
RESULT: Final = 19
FLAGS: Final = 20
RESOURCE: Final = 21
MAP: Final = 22

SCALARS: Final[dict[PrimitiveKind, Struct]] = {
    "bool": Struct("<B7x?23x"),
    "s8": Struct("<B7xb23x"), "u8": Struct("<B7xB23x"),
    "s16": Struct("<B7xh22x"), "u16": Struct("<B7xH22x"),
    "s32": Struct("<B7xi20x"), "u32": Struct("<B7xI20x"),
    "s64": Struct("<B7xq16x"), "u64": Struct("<B7xQ16x"),
    "f32": Struct("<B7xf20x"), "f64": Struct("<B7xd16x"),
    "char": Struct("<B7xI20x"),
}  # fmt: skip
SPAN: Final = Struct("<B7xQQ8x")
"""A string, list, record, tuple, flags or map: kind, length, address."""
POINTER: Final = Struct("<B7xQ16x")
"""An option or a resource: kind, address (0 for none)."""
CASE: Final = Struct("<B7xQQQ")
"""A variant: kind, length and address of the case's name, address of the payload (0 for none)."""
EITHER: Final = Struct("<B7x?7xQ8x")
"""A result: kind, whether ok, address of the payload (0 for none)."""
NAME: Final = Struct("<QQ")
"""Length and address of a name, as in records and flags."""

_INTEGERS: Final[tuple[tuple[PrimitiveKind, int], ...]] = (
    ("s8", 8), ("u8", 8), ("s16", 16), ("u16", 16), ("s32", 32), ("u32", 32), ("s64", 64), ("u64", 64),
)  # fmt: skip
RANGES: Final = {
    kind: (-(1 << bits - 1), (1 << bits - 1) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)
    for kind, bits in _INTEGERS
}
ARRAY_CODES: Final[dict[PrimitiveKind, str]] = {
    "s8": "b", "s16": "h", "u16": "H", "s32": "i", "u32": "I", "s64": "q", "u64": "Q", "f32": "f", "f64": "d",
}  # fmt: skip
"""Numbers whose lists go through `array` and slices: no Python loop over the elements."""
