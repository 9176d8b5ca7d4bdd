"""Component values into wire values: one closure per type, reading memory in bulk."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from ctypes import string_at
from struct import Struct
from typing import Any, Final

from msgpack import ExtType

from lath.wit.types import (
    Enum,
    Field,
    Flags,
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
from lath_host.engine.capi import MAP_ENTRY_BYTES, RECORD_ENTRY_BYTES, VAL_BYTES, Val
from lath_host.engine.values import layout
from lath_host.engine.values.arena import HandleTable, Memory
from lath_host.engine.values.bulk import BulkBytes, lift_bulk
from lath_host.engine.values.local import Local, LocalHandle
from lath_host.engine.values.numbered import NumberedHandle, lift_borrowed, lift_own

Lift = Callable[[Memory, int, HandleTable], Any]
"""(memory, offset of the value in it, the store's handles) -> wire value"""

if sys.byteorder != "little":  # pragma: no cover
    raise ImportError("lath_host reads wasmtime's memory as little-endian")

_read_span: Final = Struct("<QQ").unpack_from
_read_pointer: Final = Struct("<Q").unpack_from
_read_case: Final = Struct("<QQQ").unpack_from
_read_either: Final = Struct("<?7xQ").unpack_from


def lift_params_of(params: Sequence[Field]) -> Callable[[int, HandleTable], list[Any]]:
    """Compiles the parameters of an imported function: (their address, handles) -> wire values."""
    lifts = [(lift_of(field.type), index * VAL_BYTES) for index, field in enumerate(params)]
    cells = Val * len(lifts)

    def many(address: int, table: HandleTable) -> list[Any]:
        memory = cells.from_address(address)
        return [lift(memory, offset, table) for lift, offset in lifts]

    if len(lifts) != 1:
        return many if lifts else lambda address, table: []
    ((lift, _),) = lifts
    return lambda address, table: [lift(Val.from_address(address), 0, table)]


def lift_values_of(params: Sequence[Field]) -> Callable[[Memory, HandleTable], list[Any]]:
    """The same for parameters that stand in memory that is read already."""
    lifts = [(lift_of(field.type), index * VAL_BYTES) for index, field in enumerate(params)]
    if len(lifts) == 1:
        ((lift, _),) = lifts
        return lambda memory, table: [lift(memory, 0, table)]
    return lambda memory, table: [lift(memory, offset, table) for lift, offset in lifts]


def lift_of(type_: Type) -> Lift:
    """Compiles a type."""
    match type_:
        case Primitive(kind=kind):
            return _primitive(kind)
        case BulkBytes():
            return lift_bulk
        case ListOf(element=element):
            return _bytes if type_.is_bytes else _list(element)
        case MapOf():
            return _map(type_)
        case TupleOf():
            return _tuple(type_)
        case Record():
            return _record(type_)
        case Variant():
            return _variant(type_)
        case Enum():
            return _string
        case Flags():
            return _flags(type_)
        case OptionOf():
            return _option(type_)
        case ResultOf():
            return _result(type_)
        case NumberedHandle():
            return lift_own if type_.mode == "own" else lift_borrowed
        case LocalHandle():
            return _own_local if type_.mode == "own" else _borrowed_local
        case Handle():
            return _handle(type_)


def _string(memory: Memory, offset: int, table: HandleTable) -> str:
    size, address = _read_span(memory, offset + 8)
    return string_at(address, size).decode() if size else ""


def _primitive(kind: PrimitiveKind) -> Lift:
    if kind == "string":
        return _string
    read = Struct("<" + layout.SCALARS[kind].format.removeprefix("<B7x").rstrip("0123456789x")).unpack_from
    if kind == "char":
        return lambda memory, offset, table: chr(read(memory, offset + 8)[0])
    return lambda memory, offset, table: read(memory, offset + 8)[0]


def _bytes(memory: Memory, offset: int, table: HandleTable) -> bytes:
    count, address = _read_span(memory, offset + 8)
    return string_at(address, count * VAL_BYTES)[8::VAL_BYTES] if count else b""


def _list(element: Type) -> Lift:
    if isinstance(element, Primitive) and element.kind in layout.ARRAY_CODES:
        return _numbers(layout.ARRAY_CODES[element.kind])
    lift = lift_of(element)

    def elements(memory: Memory, offset: int, table: HandleTable) -> list[Any]:
        count, address = _read_span(memory, offset + 8)
        if not count:
            return []
        size = count * VAL_BYTES
        data = string_at(address, size)
        return [lift(data, at, table) for at in range(0, size, VAL_BYTES)]

    return elements


def _numbers(code: str) -> Lift:
    width = array(code).itemsize

    def numbers(memory: Memory, offset: int, table: HandleTable) -> list[Any]:
        count, address = _read_span(memory, offset + 8)
        if not count:
            return []
        cells = string_at(address, count * VAL_BYTES)
        data = bytearray(count * width)
        for byte in range(width):
            data[byte::width] = cells[8 + byte :: VAL_BYTES]
        result = array(code)
        result.frombytes(data)
        return result.tolist()

    return numbers


def _map(type_: MapOf) -> Lift:
    lift_key, lift_value = lift_of(type_.key), lift_of(type_.value)

    def entries(memory: Memory, offset: int, table: HandleTable) -> dict[Any, Any]:
        count, address = _read_span(memory, offset + 8)
        if not count:
            return {}
        size = count * MAP_ENTRY_BYTES
        data = string_at(address, size)
        return {
            lift_key(data, at, table): lift_value(data, at + VAL_BYTES, table)
            for at in range(0, size, MAP_ENTRY_BYTES)
        }

    return entries


def _tuple(type_: TupleOf) -> Lift:
    lifts = [(lift_of(element), index * VAL_BYTES) for index, element in enumerate(type_.elements)]
    size = len(lifts) * VAL_BYTES

    def tuple_(memory: Memory, offset: int, table: HandleTable) -> list[Any]:
        _, address = _read_span(memory, offset + 8)
        data = string_at(address, size)
        return [lift(data, at, table) for lift, at in lifts]

    return tuple_


_VALUE_AT: Final = RECORD_ENTRY_BYTES - VAL_BYTES


def _record(type_: Record) -> Lift:
    fields = [
        (field.name, lift_of(field.type), index * RECORD_ENTRY_BYTES + _VALUE_AT)
        for index, field in enumerate(type_.fields)
    ]
    size = len(fields) * RECORD_ENTRY_BYTES

    def record(memory: Memory, offset: int, table: HandleTable) -> dict[str, Any]:
        _, address = _read_span(memory, offset + 8)
        data = string_at(address, size)
        return {name: lift(data, at, table) for name, lift, at in fields}

    return record


def _variant(type_: Variant) -> Lift:
    cases = {case.name: lift_of(case.type) if case.type else None for case in type_.cases}

    def variant(memory: Memory, offset: int, table: HandleTable) -> dict[str, Any]:
        size, address, payload = _read_case(memory, offset + 8)
        name = string_at(address, size).decode()
        lift = cases[name]
        if lift is None or not payload:
            return {name: None}
        return {name: lift(Val.from_address(payload), 0, table)}

    return variant


def _flags(type_: Flags) -> Lift:
    order = {label: index for index, label in enumerate(type_.labels)}

    def flags(memory: Memory, offset: int, table: HandleTable) -> list[str]:
        count, address = _read_span(memory, offset + 8)
        if not count:
            return []
        data = string_at(address, count * layout.NAME.size)
        names = [string_at(at, size).decode() for size, at in layout.NAME.iter_unpack(data)]
        return sorted(names, key=order.__getitem__)

    return flags


def _option(type_: OptionOf) -> Lift:
    lift, nested = lift_of(type_.inner), type_.inner_may_be_nil

    def option(memory: Memory, offset: int, table: HandleTable) -> Any:
        (address,) = _read_pointer(memory, offset + 8)
        if not address:
            return None
        value = lift(Val.from_address(address), 0, table)
        return [value] if nested else value

    return option


def _result(type_: ResultOf) -> Lift:
    lift_ok = lift_of(type_.ok) if type_.ok else None
    lift_err = lift_of(type_.err) if type_.err else None

    def result(memory: Memory, offset: int, table: HandleTable) -> dict[str, Any]:
        is_ok, payload = _read_either(memory, offset + 8)
        lift = lift_ok if is_ok else lift_err
        name = "ok" if is_ok else "err"
        if lift is None or not payload:
            return {name: None}
        return {name: lift(Val.from_address(payload), 0, table)}

    return result


def _handle(type_: Handle) -> Lift:
    def handle(memory: Memory, offset: int, table: HandleTable) -> ExtType:
        return table.lift_handle(type_, _read_pointer(memory, offset + 8)[0])

    return handle


def _own_local(memory: Memory, offset: int, table: HandleTable) -> Local:
    value = table.local.pop(table.take(_read_pointer(memory, offset + 8)[0]))
    value.let_go()
    return value


def _borrowed_local(memory: Memory, offset: int, table: HandleTable) -> Local:
    return table.local[table.take(_read_pointer(memory, offset + 8)[0])]
