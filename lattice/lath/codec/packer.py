"""Packing wire values of a known type: msgpack's packer writes every float at one width, a type may need two.

Where a type has no `f32`, or floats of no other kind, one of the two packers does it all. Only a type with
both is written piece by piece.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgpack

from lath.codec.wire import Wire, check_payload_bytes, pack_doubles, pack_singles
from lath.errors import InvalidArgument
from lath.wit import types as wit
from lath.wit.walk import parts_of

Pack: TypeAlias = Callable[[Wire], bytes]
_Emit: TypeAlias = Callable[[Wire, list[bytes]], None]

_headers: Final = msgpack.Packer()


def wire_packer(types: wit.Type | Sequence[wit.Type] | None) -> Pack:
    """A function that packs wire values of the given type or types, floats at the width of their type.

    Args:
        types: A type: the function takes a value of it. A sequence of types, as of parameters: it takes a
            list of values. None (no result): it takes None.

    The function raises `InvalidArgument` for what is no wire value and `PayloadTooLarge` above the limit. It
    does not check values against the type.
    """
    if types is None:
        return pack_doubles
    kind = wit.TupleOf(tuple(types)) if isinstance(types, Sequence) else types
    floats = _floats(kind)
    if "f32" not in floats:
        return pack_doubles
    if "f64" not in floats:
        return pack_singles
    emit = _emitter(kind)

    def pack_mixed(value: Wire) -> bytes:
        pieces: list[bytes] = []
        try:
            emit(value, pieces)
        except (LookupError, TypeError, ValueError, AttributeError, struct.error) as error:
            if isinstance(error, InvalidArgument):
                raise
            raise InvalidArgument(f"the value cannot be sent: it does not fit its type ({error})") from None
        data = b"".join(pieces)
        check_payload_bytes(len(data))
        return data

    return pack_mixed


def params_packer(func: wit.Func) -> Pack:
    """A function that packs the list of wire values of the parameters of `func`."""
    return wire_packer([param.type for param in func.params])


def result_packer(func: wit.Func) -> Pack:
    """A function that packs the wire value of the result of `func` (None where it has none)."""
    return wire_packer(func.result)


def _floats(kind: wit.Type | None) -> set[str]:
    if kind is None:
        return set()
    if isinstance(kind, wit.Primitive):
        return {kind.kind} if kind.kind in ("f32", "f64") else set()
    found: set[str] = set()
    for part in parts_of(kind):
        found |= _floats(part)
    return found


def _emitter(kind: wit.Type | None) -> _Emit:
    """A closure that appends the bytes of a value to a list."""
    if kind is None or len(_floats(kind)) < 2:
        pack = pack_singles if "f32" in _floats(kind) else pack_doubles
        return lambda value, pieces: pieces.append(pack(value))
    match kind:
        case wit.ListOf(inner):
            return _emit_list(_emitter(inner))
        case wit.MapOf(_, inner):
            return _emit_map(_emitter(inner))
        case wit.TupleOf(elements):
            return _emit_tuple([_emitter(each) for each in elements])
        case wit.Record(fields):
            return _emit_tagged({each.name: _emitter(each.type) for each in fields})
        case wit.Variant(cases):
            return _emit_tagged({case.name: _emitter(case.type) for case in cases})
        case wit.ResultOf(ok, err):
            return _emit_tagged({"ok": _emitter(ok), "err": _emitter(err)})
        case wit.OptionOf(inner):
            emit = _emitter(inner)
            return _emit_option(_emit_list(emit) if kind.inner_may_be_nil else emit)
        case _:  # no other kind holds two floats
            raise AssertionError(kind)


def _emit_list(emit: _Emit) -> _Emit:
    def emit_all(value: Any, pieces: list[bytes]) -> None:
        pieces.append(_headers.pack_array_header(len(value)))
        for each in value:
            emit(each, pieces)

    return emit_all


def _emit_tuple(emitters: Sequence[_Emit]) -> _Emit:
    def emit_all(value: Any, pieces: list[bytes]) -> None:
        pieces.append(_headers.pack_array_header(len(emitters)))
        for emit, each in zip(emitters, value, strict=True):
            emit(each, pieces)

    return emit_all


def _emit_map(emit: _Emit) -> _Emit:
    def emit_all(value: Any, pieces: list[bytes]) -> None:
        pieces.append(_headers.pack_map_header(len(value)))
        for key, each in value.items():
            pieces.append(pack_doubles(key))
            emit(each, pieces)

    return emit_all


def _emit_tagged(emitters: dict[str, _Emit]) -> _Emit:
    """Records, variants and results: maps whose keys say how their values are written."""
    keys = {name: (pack_doubles(name), emit) for name, emit in emitters.items()}

    def emit_all(value: Any, pieces: list[bytes]) -> None:
        pieces.append(_headers.pack_map_header(len(value)))
        for name, each in value.items():
            key, emit = keys[name]
            pieces.append(key)
            emit(each, pieces)

    return emit_all


def _emit_option(emit: _Emit) -> _Emit:
    def emit_value(value: Any, pieces: list[bytes]) -> None:
        if value is None:
            pieces.append(b"\xc0")
        else:
            emit(value, pieces)

    return emit_value
