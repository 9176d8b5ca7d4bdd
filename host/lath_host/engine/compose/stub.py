"""A component without its code: of the same types, and compiled in no time, so that they can be read first.

Of the functions that a core module defines one stays for each signature, with `unreachable` as its body, and
stands for all exported ones of that signature. What only fills memories and tables goes.
"""

from __future__ import annotations

from typing import Final

from lath_host.engine.compose.binary import (
    COMPONENT_HEADER,
    MODULE_HEADER,
    Malformed,
    Reader,
    Section,
    leb,
    section,
    sections,
    vector,
)  # fmt: skip

_IMPORTS: Final = 2
_FUNCTIONS: Final = 3
_GLOBALS: Final = 6
_EXPORTS: Final = 7
_CODE: Final = 10
_DROPPED: Final = (0, 8, 9, 11, 12)
"""Custom sections, start, elements, data, data count."""
_BODY: Final = b"\x03\x00\x00\x0b"
"""Three bytes: no locals, `unreachable`, `end`. Valid for every signature."""
_TYPED_REFERENCES: Final = (0x63, 0x64)
_END: Final = 0x0B
_ZEROS: Final = {
    0x7F: b"\x41\0\x0b", 0x7E: b"\x42\0\x0b",
    0x7D: b"\x43" + bytes(4) + b"\x0b", 0x7C: b"\x44" + bytes(8) + b"\x0b",
    0x70: b"\xd0\x70\x0b", 0x6F: b"\xd0\x6f\x0b",
}  # fmt: skip
"""What makes a zero, by the type: i32, i64, f32, f64, funcref, externref."""
_OPERANDS: Final = {0x43: 4, 0x44: 8}
"""Bytes behind `f32.const` and `f64.const`."""
_WITH_NUMBER: Final = (0x41, 0x42, 0x23, 0xD2, 0xD0)
"""`i32.const`, `i64.const`, `global.get`, `ref.func`, `ref.null`."""
_ARITHMETIC: Final = (0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E)


def without_code(component: bytes) -> bytes:
    """`component` with the code taken out of its core modules.

    Raises:
        Malformed: It is not a component, or one with something that this does not know.
    """
    parts = [COMPONENT_HEADER]
    for number, body, begin, end in sections(component, COMPONENT_HEADER):
        match number:
            case Section.CUSTOM:
                continue
            case Section.CORE_MODULE:
                parts.append(section(number, _module(body)))
            case Section.COMPONENT:
                parts.append(section(number, without_code(body)))
            case _:
                parts.append(component[begin:end])
    return b"".join(parts)


def _module(module: bytes) -> bytes:
    parts = [MODULE_HEADER]
    imported = 0
    signatures: list[int] = []
    for number, body, begin, end in sections(module, MODULE_HEADER):
        if number == _IMPORTS:
            imported = _imported_functions(body)
        elif number == _GLOBALS:
            parts.append(section(number, _zeroed_globals(body)))
            continue
        elif number == _EXPORTS:
            parts.append(section(number, _merged_exports(body, imported, signatures)))
            continue
        elif number == _FUNCTIONS:
            reader = Reader(body)
            signatures = [reader.leb() for _ in range(reader.leb())]
            body = vector(map(leb, dict.fromkeys(signatures)))
            parts.append(section(number, body))
            continue
        elif number == _CODE:
            parts.append(section(number, vector([_BODY] * len(set(signatures)))))
            continue
        if number not in _DROPPED:
            parts.append(module[begin:end])
    return b"".join(parts)


def _merged_exports(body: bytes, imported: int, signatures: list[int]) -> bytes:
    """The exports of a module, each defined function replaced by the one that stays for its signature."""
    kept = {signature: imported + at for at, signature in enumerate(dict.fromkeys(signatures))}
    reader, items = Reader(body), []
    for _ in range(reader.leb()):
        begin = reader.at
        reader.name()
        kind = reader.byte()
        head = body[begin : reader.at]
        index = reader.leb()
        if kind == 0 and index >= imported:
            index = kept[signatures[index - imported]]
        items.append(head + leb(index))
    return vector(items)


def _imported_functions(body: bytes) -> int:
    """How many functions a module imports."""
    reader, functions = Reader(body), 0
    for _ in range(reader.leb()):
        reader.name()
        reader.name()
        match reader.byte():
            case 0:
                functions += 1
                reader.leb()
            case 1:
                _value_type(reader)
                _limits(reader)
            case 2:
                _limits(reader)
            case 3:
                _value_type(reader)
                reader.byte()
            case 4:
                reader.byte()
                reader.leb()
            case kind:
                raise Malformed(f"an import of the unknown kind {kind} in a core module")
    return functions


def _zeroed_globals(body: bytes) -> bytes:
    """The globals of a module, without what they begin with: it may be a function that does not stay."""
    reader, items = Reader(body), []
    for _ in range(reader.leb()):
        type_, mutable = reader.byte(), reader.byte()
        if type_ not in _ZEROS:
            raise Malformed(f"a global of the unknown type {type_:#x}")
        _pass_over_constant(reader)
        items.append(bytes([type_, mutable]) + _ZEROS[type_])
    return vector(items)


def _pass_over_constant(reader: Reader) -> None:
    while (code := reader.byte()) != _END:
        if code in _WITH_NUMBER:
            reader.leb()
        elif code in _OPERANDS:
            reader.bytes(_OPERANDS[code])
        elif code not in _ARITHMETIC:
            raise Malformed(f"a constant with the unknown instruction {code:#x}")


def _value_type(reader: Reader) -> None:
    if reader.byte() in _TYPED_REFERENCES:
        reader.leb()


def _limits(reader: Reader) -> None:
    flags = reader.byte()
    if flags > 7:
        raise Malformed("a memory of an unknown kind")
    reader.leb()
    if flags & 1:
        reader.leb()
