"""Lists into component values. A value takes 32 bytes: numbers are laid out by slices, not one by one."""

from __future__ import annotations

import ctypes
import struct
from array import array
from typing import Any, Final

from lath.wit.types import Primitive, PrimitiveKind, Type
from lath_host.engine.capi import VAL_BYTES
from lath_host.engine.values import layout
from lath_host.engine.values.arena import BYTES_AT, Arena, Lower
from lath_host.engine.values.mismatch import Mismatch

_pack_span: Final = layout.SPAN.pack


def lower_bytes(value: Any, arena: Arena) -> bytes:
    """`list<u8>`: one 32-byte value per byte, filled by slices (a loop costs 30 times as much)."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise Mismatch("bytes", value)
    count = len(value)
    if not count:
        return _EMPTY_LIST
    cells = bytearray(_U8_CELL * count)
    cells[8::VAL_BYTES] = value
    return _span_of(cells, layout.LIST, count, arena)


_U8_CELL: Final = layout.SCALARS["u8"].pack(layout.KINDS["u8"], 0)
_EMPTY_LIST: Final = layout.SPAN.pack(layout.LIST, 0, 0)


def _span_of(cells: bytearray, kind: int, count: int, arena: Arena) -> bytes:
    start = ctypes.c_char.from_buffer(cells)  # pins the bytearray, whose content must not move
    arena.append(start)
    return _pack_span(kind, count, ctypes.addressof(start))


def lower_list_of(element: Type, lower: Lower) -> Lower:
    """Compiles a list, out of its element type and what lowers one element."""

    def elements(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, (list, tuple)):
            raise Mismatch("list", value)
        if not value:
            return _EMPTY_LIST
        cells = []
        try:
            for item in value:
                cells.append(lower(item, arena))
        except Mismatch as mismatch:
            mismatch.path.append(f"element {len(cells)}")
            raise
        data = b"".join(cells)
        arena.append(data)
        return _pack_span(layout.LIST, len(value), id(data) + BYTES_AT)

    if isinstance(element, Primitive) and element.kind in layout.ARRAY_CODES:
        return _numbers(element.kind, elements)
    return elements


def _numbers(kind: PrimitiveKind, one_by_one: Lower) -> Lower:
    """A list of numbers by slices; `one_by_one` takes over where something is wrong, to name the place."""
    code = layout.ARRAY_CODES[kind]
    size = array(code).itemsize
    template = layout.SCALARS[kind].pack(layout.KINDS[kind], 0)
    allowed = {int, float} if code in "fd" else {int}

    def numbers(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, (list, tuple)) or not value or not allowed.issuperset(map(type, value)):
            return one_by_one(value, arena)
        count = len(value)
        try:
            # array("f") turns a float that is too large into infinity, struct refuses it
            data = struct.pack(f"<{count}f", *value) if code == "f" else array(code, value).tobytes()
        except (OverflowError, struct.error):
            return one_by_one(value, arena)
        cells = bytearray(template * count)
        for byte in range(size):
            cells[8 + byte :: VAL_BYTES] = data[byte::size]
        return _span_of(cells, layout.LIST, count, arena)

    return numbers
