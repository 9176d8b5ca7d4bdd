"""Wire values into component values: one closure per type, strict, naming the place of a mistake."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from lath.errors import InvalidArgument
from lath.names import shown
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
from lath_host.engine.values import layout
from lath_host.engine.values.arena import BYTES_AT, Arena, Lower
from lath_host.engine.values.bulk import BulkBytes, lower_bulk
from lath_host.engine.values.exported import ExportedHandle
from lath_host.engine.values.local import LocalHandle
from lath_host.engine.values.lower_handles import (
    lower_exported_handle,
    lower_handle,
    lower_local_handle,
)  # fmt: skip
from lath_host.engine.values.lower_lists import lower_bytes, lower_list_of
from lath_host.engine.values.mismatch import Mismatch
from lath_host.engine.values.numbered import NumberedHandle, lower_numbered

LowerParams = Callable[[Sequence[Any], Arena], bytes]

_ENUMS_MAX: Final = 256
"""Kept compiled: most functions of WASI give one of a few large ones."""

_SURROGATES: Final = range(0xD800, 0xE000)
"""Not characters; wasmtime would abort the process on one."""


def lower_params_of(params: Sequence[Field]) -> LowerParams:
    """Compiles the parameters of a function into a closure that lays them out one after the other.

    The closure raises `InvalidArgument`, naming the parameter and the path inside it.
    """
    lowers = [(f"parameter {field.name!r}", lower_of(field.type)) for field in params]
    names = ", ".join(field.name for field in params)
    count = len(lowers)

    def miscounted(values: object) -> InvalidArgument:
        if not isinstance(values, (list, tuple)):
            return InvalidArgument(f"parameters: expected a list of {count} ({names}), got {shown(values)}")
        return InvalidArgument(f"parameters: expected {count} ({names}), got {len(values)}")

    def many(values: Sequence[Any], arena: Arena) -> bytes:
        if not isinstance(values, (list, tuple)) or len(values) != count:
            raise miscounted(values)
        cells = []
        for value, (place, lower) in zip(values, lowers, strict=True):
            try:
                cells.append(lower(value, arena))
            except Mismatch as mismatch:
                mismatch.path.append(place)
                raise mismatch.error() from None
        return b"".join(cells)

    if count != 1:
        return many
    place, lower = lowers[0]

    def one(values: Sequence[Any], arena: Arena) -> bytes:
        if not isinstance(values, (list, tuple)) or len(values) != 1:
            raise miscounted(values)
        try:
            return lower(values[0], arena)
        except Mismatch as mismatch:
            mismatch.path.append(place)
            raise mismatch.error() from None

    return one


def lower_result_of(type_: Type) -> Lower:
    """Compiles the result of an imported function. The closure raises `InvalidArgument`."""
    lower = lower_of(type_)

    def result(value: Any, arena: Arena) -> bytes:
        try:
            return lower(value, arena)
        except Mismatch as mismatch:
            mismatch.path.append("result")
            raise mismatch.error() from None

    return result


def lower_of(type_: Type) -> Lower:
    """Compiles a type. The closure raises `Mismatch`."""
    match type_:
        case Primitive(kind=kind):
            return _primitive(kind)
        case BulkBytes():
            return lower_bulk
        case ListOf(element=element):
            return lower_bytes if type_.is_bytes else lower_list_of(element, lower_of(element))
        case MapOf():
            return _map(type_)
        case TupleOf():
            return _tuple(type_)
        case Record():
            return _record(type_)
        case Variant():
            return _variant(type_)
        case Enum():
            return _enum(type_)
        case Flags():
            return _flags(type_)
        case OptionOf():
            return _option(type_)
        case ResultOf():
            return _result(type_)
        case ExportedHandle():
            return lower_exported_handle(type_)
        case NumberedHandle():
            return lower_numbered(type_)
        case LocalHandle():
            return lower_local_handle(type_)
        case Handle():
            return lower_handle(type_)


@lru_cache
def _primitive(kind: PrimitiveKind) -> Lower:
    if kind == "bool":
        return _bool
    if kind == "string":
        return _string
    if kind == "char":
        return _char
    return _float(kind) if kind in ("f32", "f64") else _integer(kind)


def _bool(value: Any, arena: Arena) -> bytes:
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    raise Mismatch("bool", value)


_TRUE: Final = layout.SCALARS["bool"].pack(0, True)
_FALSE: Final = layout.SCALARS["bool"].pack(0, False)


def _string(value: Any, arena: Arena) -> bytes:
    if not isinstance(value, str):
        raise Mismatch("string", value)
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise Mismatch("string of Unicode characters, without surrogates", value) from None
    arena.append(data)
    return _pack_span(_STRING, len(data), id(data) + BYTES_AT)


_STRING: Final = layout.KINDS["string"]
_pack_span: Final = layout.SPAN.pack


def _char(value: Any, arena: Arena) -> bytes:
    if not isinstance(value, str) or len(value) != 1 or ord(value) in _SURROGATES:
        raise Mismatch("char (one Unicode character)", value)
    return layout.SCALARS["char"].pack(layout.KINDS["char"], ord(value))


def _integer(kind: PrimitiveKind) -> Lower:
    number, pack = layout.KINDS[kind], layout.SCALARS[kind].pack
    expected = "{} ({} to {})".format(kind, *layout.RANGES[kind])

    def integer(value: Any, arena: Arena) -> bytes:
        if type(value) is not int:  # bool is an int, and not one here
            raise Mismatch(expected, value)
        try:
            return pack(number, value)
        except struct.error:
            raise Mismatch(expected, value) from None

    return integer


def _float(kind: PrimitiveKind) -> Lower:
    number, pack = layout.KINDS[kind], layout.SCALARS[kind].pack

    def float_(value: Any, arena: Arena) -> bytes:
        if type(value) is not float and type(value) is not int:
            raise Mismatch(kind, value)
        try:
            return pack(number, value)
        except (struct.error, OverflowError):
            raise Mismatch(f"{kind}, within its range", value) from None

    return float_


def _map(type_: MapOf) -> Lower:
    lower_key, lower_value = lower_of(type_.key), lower_of(type_.value)

    def entries(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, dict):
            raise Mismatch("map", value)
        cells = []
        for key, item in value.items():
            try:
                cells.append(lower_key(key, arena))
                cells.append(lower_value(item, arena))
            except Mismatch as mismatch:
                mismatch.path.append(f"key {shown(key)}")
                raise
        data = b"".join(cells)
        arena.append(data)
        return _pack_span(layout.MAP, len(value), id(data) + BYTES_AT if value else 0)

    return entries


def _tuple(type_: TupleOf) -> Lower:
    lowers = [lower_of(element) for element in type_.elements]
    count = len(lowers)

    def tuple_(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, (list, tuple)) or len(value) != count:
            raise Mismatch(f"tuple of {count}", value)
        cells: list[bytes] = []
        try:
            for lower, item in zip(lowers, value, strict=True):
                cells.append(lower(item, arena))
        except Mismatch as mismatch:
            mismatch.path.append(f"element {len(cells)}")
            raise
        data = b"".join(cells)
        arena.append(data)
        return _pack_span(layout.TUPLE, count, id(data) + BYTES_AT)

    return tuple_


def _name(text: str) -> tuple[bytes, bytes]:
    """A name's cell, and the bytes that the cell points to, which the closure has to keep."""
    data = text.encode()
    return layout.NAME.pack(len(data), id(data) + BYTES_AT), data


def _record(type_: Record) -> Lower:
    fields = [(field.name, *_name(field.name), lower_of(field.type)) for field in type_.fields]
    names = {field.name for field in type_.fields}
    expected = f"record with the fields {', '.join(field.name for field in type_.fields)}"
    count = len(fields)

    def misfit(value: Any) -> Mismatch:
        if isinstance(value, dict):
            missing = [name for name, *_ in fields if name not in value]
            if missing:
                return Mismatch(f"{expected} ({missing[0]!r} is missing)", value)
            extra = next(key for key in value if key not in names)
            return Mismatch(f"{expected} (no field {shown(extra)})", value)
        return Mismatch(expected, value)

    def record(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, dict) or len(value) != count:
            raise misfit(value)
        cells = []
        for name, cell, _, lower in fields:
            if name not in value:
                raise misfit(value)
            try:
                cells.append(cell)
                cells.append(lower(value[name], arena))
            except Mismatch as mismatch:
                mismatch.path.append(f"field {name!r}")
                raise
        data = b"".join(cells)
        arena.append(data)
        return _pack_span(layout.RECORD, count, id(data) + BYTES_AT)

    return record


def _payload(lower: Lower | None, value: Any, arena: Arena, place: str) -> int:
    """The address of a case's payload, 0 where the case has none."""
    if lower is None:
        if value is not None:
            mismatch = Mismatch("nil (no payload)", value)
            mismatch.path.append(place)
            raise mismatch
        return 0
    try:
        data = lower(value, arena)
    except Mismatch as mismatch:
        mismatch.path.append(place)
        raise
    arena.append(data)
    return id(data) + BYTES_AT


def _variant(type_: Variant) -> Lower:
    cases = {
        case.name: (case.name.encode(), lower_of(case.type) if case.type else None) for case in type_.cases
    }
    expected = f"variant, {{case: payload}} with one of the cases {', '.join(cases)}"

    def variant(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, dict) or len(value) != 1:
            raise Mismatch(expected, value)
        ((name, payload),) = value.items()
        if name not in cases:
            raise Mismatch(expected, value)
        data, lower = cases[name]
        pointer = _payload(lower, payload, arena, f"case {name!r}")
        return layout.CASE.pack(layout.VARIANT, len(data), id(data) + BYTES_AT, pointer)

    return variant


@lru_cache(maxsize=_ENUMS_MAX)
def _enum(type_: Enum) -> Lower:
    names = {case: case.encode() for case in type_.cases}
    cells = {case: _pack_span(layout.ENUM, len(data), id(data) + BYTES_AT) for case, data in names.items()}
    expected = f"one of {', '.join(names)}"

    def enum(value: Any, arena: Arena, _kept: object = names) -> bytes:
        cell = cells.get(value) if isinstance(value, str) else None
        if cell is None:
            raise Mismatch(expected, value)
        return cell

    return enum


def _flags(type_: Flags) -> Lower:
    cells = {label: _name(label) for label in type_.labels}
    expected = f"list of flags out of {', '.join(cells)}"

    def flags(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, (list, tuple)):
            raise Mismatch(expected, value)
        for label in value:
            if not isinstance(label, str) or label not in cells:
                raise Mismatch(expected, label)
        labels = dict.fromkeys(value)
        data = b"".join([cells[label][0] for label in labels])
        arena.append(data)
        return _pack_span(layout.FLAGS, len(labels), id(data) + BYTES_AT if labels else 0)

    return flags


def _option(type_: OptionOf) -> Lower:
    lower, nested = lower_of(type_.inner), type_.inner_may_be_nil

    def option(value: Any, arena: Arena) -> bytes:
        if value is None:
            return _NONE
        if nested:
            if not isinstance(value, (list, tuple)) or len(value) != 1:
                raise Mismatch("nil, or a list of the one value", value)
            value = value[0]
        data = lower(value, arena)
        arena.append(data)
        return layout.POINTER.pack(layout.OPTION, id(data) + BYTES_AT)

    return option


_NONE: Final = layout.POINTER.pack(layout.OPTION, 0)


def _result(type_: ResultOf) -> Lower:
    sides = {
        "ok": (True, lower_of(type_.ok) if type_.ok else None),
        "err": (False, lower_of(type_.err) if type_.err else None),
    }

    pack, kind = layout.EITHER.pack, layout.RESULT
    empty = [pack(kind, is_ok, 0) for is_ok in (False, True)]

    def result(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, dict) or len(value) != 1:
            raise Mismatch("result, {ok: value} or {err: value}", value)
        ((name, payload),) = value.items()
        if name not in sides:
            raise Mismatch("result, {ok: value} or {err: value}", value)
        is_ok, lower = sides[name]
        if lower is None and payload is None:
            return empty[is_ok]
        return pack(kind, is_ok, _payload(lower, payload, arena, name))

    return result
