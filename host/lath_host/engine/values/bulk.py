"""`list<u8>` in bulk: carried as a string whose characters are the bytes (latin-1).

wasmtime's C API holds a list as 32 bytes an element, but a string in one piece. Where a component has been
bridged (`compose.bridge`), its types say so with `BulkBytes` in place of `list<u8>`; the wire value
is the same `bytes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import string_at
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from lath.wit.types import Field, ListOf, Primitive, Type
from lath_host.engine.values import layout
from lath_host.engine.values.arena import BYTES_AT, Arena, HandleTable, Memory
from lath_host.engine.values.mismatch import Mismatch
from lath_host.engine.values.walk import replaced

_STRING: Final = layout.KINDS["string"]
_pack_span: Final = layout.SPAN.pack
_read_span: Final = Struct("<QQ").unpack_from


@dataclass(frozen=True, slots=True)
class BulkBytes(ListOf):
    """`list<u8>` where it crosses as a string."""


_BULK: Final = BulkBytes(Primitive("u8"))


def in_bulk(type_: Type) -> Type:
    """`type_` with every `list<u8>` in it carried in bulk."""
    return replaced(type_, bytes_in_bulk)


def bytes_in_bulk(type_: Type) -> Type | None:
    """What carries a `list<u8>`; None for other types (`walk.replaced`)."""
    return _BULK if isinstance(type_, ListOf) and type_.is_bytes else None


def in_bulk_if(type_: Type | None) -> Type | None:
    """`in_bulk`, where there is a type."""
    return None if type_ is None else in_bulk(type_)


def params_in_bulk(fields: Sequence[Field]) -> tuple[Field, ...]:
    """The same fields or parameters with every `list<u8>` in them carried in bulk."""
    return tuple(Field(field.name, in_bulk(field.type)) for field in fields)


def lower_bulk(value: Any, arena: Arena) -> bytes:
    """Bytes as a string: what is not ASCII takes two bytes of UTF-8, until wasmtime stores it as one."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise Mismatch("bytes", value)
    data = value if type(value) is bytes and value.isascii() else str(value, "latin-1").encode()
    arena.append(data)
    return _pack_span(_STRING, len(data), id(data) + BYTES_AT)


def lift_bulk(memory: Memory, offset: int, table: HandleTable) -> bytes:
    """The bytes that a string carries."""
    size, address = _read_span(memory, offset + 8)
    if not size:
        return b""
    data = string_at(address, size)
    return data if data.isascii() else data.decode().encode("latin-1")
