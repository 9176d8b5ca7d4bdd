"""What stands in front of a component: its imports, with the types and aliases that they need.

Copied as it is to the front of an outer component it means the same there, since indices begin at zero in
both; what the outer adds goes on counting from where it ends.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from lath_host.engine.compose.binary import (
    COMPONENT_HEADER,
    Malformed,
    Reader,
    Section,
    Sort,
    section,
    sections,
    vector,
)  # fmt: skip
from lath_host.engine.compose.typedefs import without_async

_LEADING: Final = (Section.CUSTOM, Section.CORE_TYPE, Section.ALIAS, Section.TYPE, Section.IMPORT)
_OUTER_ALIAS: Final = 2
_CORE_EXPORT_ALIAS: Final = 1


@dataclass(frozen=True)
class Export:
    """An export of a component: its name and its sort; `is_core` for a core module."""

    name: str
    sort: Sort
    is_core: bool = False


@dataclass(frozen=True)
class Prefix:
    """The leading sections of a component.

    Attributes:
        data: Their bytes.
        imports: (sort, index) by name; the sort is None for a core module.
        counts: How many definitions of each sort there are at their end.
        exports: What the component exports, in order.
    """

    data: bytes
    imports: dict[str, tuple[Sort, int]]
    counts: Counter[Sort]
    exports: tuple[Export, ...]


def read_prefix(component: bytes) -> Prefix:
    """Reads the leading sections of `component`, and the names of its exports.

    Raises:
        Malformed: Imports stand elsewhere too, or there is something that this reader does not know.
    """
    data = bytearray()
    imports: dict[str, tuple[Sort, int]] = {}
    counts: Counter[Sort] = Counter()
    exports: list[Export] = []
    leading = True
    for number, body, begin, end in sections(component, COMPONENT_HEADER):
        leading = leading and number in _LEADING
        if number == Section.EXPORT:
            exports += _exports(body)
        elif number == Section.IMPORT and not leading:
            raise Malformed("imports stand behind other sections")
        if not leading or number == Section.CUSTOM:
            continue
        data += component[begin:end]
        if number == Section.TYPE:
            counts[Sort.TYPE] += Reader(body).leb()
        elif number == Section.ALIAS:
            _count_aliases(body, counts)
        elif number == Section.IMPORT:
            _read_imports(body, counts, imports)
    return Prefix(bytes(data), imports, counts, tuple(exports))


def with_plain_imports(prefix: Prefix) -> Prefix:
    """`prefix` with each async function that it declares as a plain one, which is all that a host can give.

    Raises:
        Malformed: A type is in front of the imports that is not known.
    """
    data = bytearray()
    for number, body, begin, end in sections(COMPONENT_HEADER + prefix.data, COMPONENT_HEADER):
        if number == Section.TYPE:
            reader = Reader(body)
            data += section(number, vector(without_async(reader) for _ in range(reader.leb())))
        else:
            data += prefix.data[begin - len(COMPONENT_HEADER) : end - len(COMPONENT_HEADER)]
    return replace(prefix, data=bytes(data))


def _read_imports(body: bytes, counts: Counter[Sort], imports: dict[str, tuple[Sort, int]]) -> None:
    reader = Reader(body)
    for _ in range(reader.leb()):
        name, sort = reader.extern_name().text, reader.extern_type()
        if sort is None:
            raise Malformed(f"the import {name} is a core module")
        imports[name] = (sort, counts[sort])
        counts[sort] += 1


def _count_aliases(body: bytes, counts: Counter[Sort]) -> None:
    reader = Reader(body)
    for _ in range(reader.leb()):
        sort = reader.sort()
        if sort is Sort.CORE:
            raise Malformed("an alias of a core definition stands among the imports")
        kind = reader.byte()
        reader.leb()
        if kind == _OUTER_ALIAS:
            reader.leb()
        elif kind == _CORE_EXPORT_ALIAS:
            raise Malformed("an alias of a core export stands among the imports")
        else:
            reader.name()
        counts[sort] += 1


def _exports(body: bytes) -> list[Export]:
    reader = Reader(body)
    exports = []
    for _ in range(reader.leb()):
        name, sort = reader.extern_name().text, reader.sort()
        if sort is Sort.CORE:
            reader.byte()
        reader.leb()
        if reader.byte():
            reader.extern_type()
        exports.append(Export(name, sort, sort is Sort.CORE))
    return exports
