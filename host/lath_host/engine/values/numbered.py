"""Handles of the host's own resources where they cross as plain numbers.

A handle that crosses wasmtime's C API is a box that takes four calls to make and three to read. Where a
component has a keeper beside it (`compose.keeper`), which has the handles and gives the host what they stand
for, its types say so with `NumberedHandle` in place of `LocalHandle`; the wire value is the same `Local`.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from lath.wit.types import Func, Primitive, Type
from lath_host.engine.values import layout
from lath_host.engine.values.arena import Arena, HandleTable, Lower, Memory
from lath_host.engine.values.bulk import bytes_in_bulk
from lath_host.engine.values.local import Local, LocalHandle
from lath_host.engine.values.mismatch import Mismatch
from lath_host.engine.values.walk import replaced

LOG: Final = Primitive("string")
"""The type of what a keeper has put off (`compose.deferrable`), byte by byte."""
_U32: Final = layout.KINDS["u32"]
_pack: Final = layout.SCALARS["u32"].pack
_read: Final = Struct("<I").unpack_from


@dataclass(frozen=True, slots=True)
class NumberedHandle(LocalHandle):
    """Such a handle where it crosses as a `u32`."""


def func_in_numbers(func: Func) -> Func:
    """The type with which a keeper carries a function: handles as numbers, `list<u8>` in bulk."""
    params = tuple(type(param)(param.name, replaced(param.type, _in_numbers)) for param in func.params)
    return Func(params, func.result and replaced(func.result, _in_numbers))


def _in_numbers(type_: Type) -> Type | None:
    if isinstance(type_, LocalHandle):
        return NumberedHandle(type_.mode, type_.resource, type_.interface)
    return bytes_in_bulk(type_)


def lower_numbered(type_: NumberedHandle) -> Lower:
    """The number of an object of the host's own, which the guest holds from here on."""
    expected = f"{type_.resource} of this host, which no value can be that comes from elsewhere"

    def number(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, Local):
            raise Mismatch(expected, value)
        return _pack(_U32, arena.table.hold(value) if arena.table is not None else 0)

    return number


def lift_own(memory: Memory, offset: int, table: HandleTable) -> Local:
    """What a number stands for that the guest has given away."""
    value = table.local.pop(_read(memory, offset + 8)[0])
    value.let_go()
    return value


def lift_borrowed(memory: Memory, offset: int, table: HandleTable) -> Local:
    """What a number stands for."""
    return table.local[_read(memory, offset + 8)[0]]
