"""Reads of a core module what it imports and what it exports, and renames what it imports twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lath_host.engine.compose.binary import (
    MODULE_HEADER,
    Malformed,
    Reader,
    name,
    section,
    sections,
    vector,
)  # fmt: skip

_IMPORTS: Final = 2
_EXPORTS: Final = 7
_KINDS: Final = ("function", "table", "memory", "global", "tag")
_TYPED_REFERENCES: Final = (0x63, 0x64)


@dataclass(frozen=True, slots=True)
class Module:
    """A core module, seen from outside.

    Attributes:
        imports: (module, name), of whatever kind.
        exports: What is exported under a name: `function`, `table`, `memory`, `global` or `tag`.
    """

    imports: tuple[tuple[str, str], ...]
    exports: Mapping[str, str]


def read_module(source: bytes) -> Module:
    """Reads a module in binary form.

    Raises:
        Malformed: It is none.
    """
    imports: list[tuple[str, str]] = []
    exports: dict[str, str] = {}
    for number, body, _, _ in sections(source, MODULE_HEADER):
        reader = Reader(body)
        if number == _IMPORTS:
            for _ in range(reader.leb()):
                imports.append((reader.name(), reader.name()))
                _pass_over_type(reader)
        elif number == _EXPORTS:
            for _ in range(reader.leb()):
                exported = reader.name()
                exports[exported] = _kind(reader.byte())
                reader.leb()
    return Module(tuple(imports), exports)


def with_distinct_imports(source: bytes) -> bytes:
    """A module that imports nothing twice under one name: no module inside a component may.

    What it imports again is, from the second time on, of the module `{module}:2`, `{module}:3` and so on.

    Raises:
        Malformed: It is no module in binary form.
    """
    parts = [MODULE_HEADER]
    for number, body, begin, end in sections(source, MODULE_HEADER):
        parts.append(section(number, _distinct(body)) if number == _IMPORTS else source[begin:end])
    return b"".join(parts)


def _distinct(body: bytes) -> bytes:
    reader, items, seen = Reader(body), [], Counter[tuple[str, str]]()
    for _ in range(reader.leb()):
        imported = reader.name(), reader.name()
        begin = reader.at
        _pass_over_type(reader)
        seen[imported] += 1
        times = seen[imported]
        module = imported[0] if times == 1 else f"{imported[0]}:{times}"
        items.append(name(module) + name(imported[1]) + body[begin : reader.at])
    return vector(items)


def _kind(number: int) -> str:
    if number >= len(_KINDS):
        raise Malformed(f"has a definition of the unknown kind {number}")
    return _KINDS[number]


def _pass_over_type(reader: Reader) -> None:
    match _kind(reader.byte()):
        case "function":
            reader.leb()
        case "table":
            _pass_over_value_type(reader)
            _pass_over_limits(reader)
        case "memory":
            _pass_over_limits(reader)
        case "global":
            _pass_over_value_type(reader)
            reader.byte()
        case _:
            reader.byte()
            reader.leb()


def _pass_over_value_type(reader: Reader) -> None:
    if reader.byte() in _TYPED_REFERENCES:
        reader.leb()


def _pass_over_limits(reader: Reader) -> None:
    flags = reader.byte()
    reader.leb()
    if flags & 1:
        reader.leb()
