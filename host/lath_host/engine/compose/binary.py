"""The binary format of components and core modules, as far as composing needs it: sections, LEB, names.

Reading covers what stands in front of a component (imports, types, aliases); the rest is copied as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

COMPONENT_HEADER: Final = b"\0asm\x0d\0\x01\0"
MODULE_HEADER: Final = b"\0asm\x01\0\0\0"


class Section(IntEnum):
    """The sections of a component."""

    CUSTOM = 0
    CORE_MODULE = 1
    CORE_INSTANCE = 2
    CORE_TYPE = 3
    COMPONENT = 4
    INSTANCE = 5
    ALIAS = 6
    TYPE = 7
    CANON = 8
    START = 9
    IMPORT = 10
    EXPORT = 11


class Sort(IntEnum):
    """The index spaces of a component. `CORE` is followed by a `CoreSort`."""

    CORE = 0
    FUNC = 1
    VALUE = 2
    TYPE = 3
    COMPONENT = 4
    INSTANCE = 5


class CoreSort(IntEnum):
    """The index spaces of core definitions inside a component."""

    FUNC = 0x00
    MEMORY = 0x02
    MODULE = 0x11
    INSTANCE = 0x12


_LEB_BITS_MAX: Final = 64
_IMPLEMENTS: Final = 0


@dataclass(frozen=True, slots=True)
class ExternName:
    """What an import or export is called.

    Attributes:
        text: The name itself.
        data: All of it, as it is written.
        implements: The interface that a label says it implements; None where it says nothing.
    """

    text: str
    data: bytes
    implements: str | None = None


def plain_name(text: str, implements: str | None = None) -> ExternName:
    """A name of our own; `implements` makes it a label of that interface."""
    if implements is None:
        return ExternName(text, b"\0" + name(text))
    said = vector([bytes([_IMPLEMENTS]) + name(implements)])
    return ExternName(text, b"\2" + name(text) + said, implements)


class Malformed(Exception):
    """Not the bytes that were expected; the message says where."""


def leb(number: int) -> bytes:
    """An unsigned number."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def type_index(number: int) -> bytes:
    """A type's index where a primitive could stand too: signed, so that it never looks like one."""
    data = bytearray()
    while number > 0x3F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def name(text: str) -> bytes:
    data = text.encode()
    return leb(len(data)) + data


def vector(items: Iterable[bytes]) -> bytes:
    items = list(items)
    return leb(len(items)) + b"".join(items)


def section(number: int, body: bytes) -> bytes:
    return bytes([number]) + leb(len(body)) + body


class Reader:
    """Reads from `data`, advancing `at`."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise Malformed(f"ends at byte {self.at}, where more was expected")
        self.at += 1
        return self.data[self.at - 1]

    def leb(self) -> int:
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift >= _LEB_BITS_MAX:
                raise Malformed(f"a number without an end before byte {self.at}")

    def bytes(self, size: int) -> bytes:
        self.at += size
        if self.at > len(self.data):
            raise Malformed(f"ends at byte {len(self.data)}, where more was expected")
        return self.data[self.at - size : self.at]

    def name(self) -> str:
        try:
            return self.bytes(self.leb()).decode()
        except UnicodeDecodeError:
            raise Malformed(f"a name that is not UTF-8 before byte {self.at}") from None

    def sort(self) -> Sort:
        number = self.byte()
        if number > Sort.INSTANCE:
            raise Malformed(f"a definition of the unknown sort {number} before byte {self.at}")
        return Sort(number)

    def extern_name(self) -> ExternName:
        """The name of an import or export."""
        begin = self.at
        kind = self.byte()
        text = self.name()
        said: dict[int, str] = {}
        if kind == 2:
            for _ in range(self.leb()):
                what = self.byte()
                said[what] = self.name()
        elif kind not in (0, 1):
            raise Malformed(f"a name of the unknown kind {kind} before byte {self.at}")
        return ExternName(text, self.data[begin : self.at], said.get(_IMPLEMENTS))

    def extern_type(self) -> Sort | None:
        """Passes over what an import is declared as. Its sort; None for a core module."""
        kind = self.byte()
        if kind == 0:
            self.byte()
            self.leb()
            return None
        if kind == Sort.VALUE:
            raise Malformed(f"a value import before byte {self.at}")
        if kind != Sort.TYPE or self.byte() == 0:
            self.leb()
        if kind > Sort.INSTANCE:
            raise Malformed(f"an import of the unknown sort {kind} before byte {self.at}")
        return Sort(kind)


def sections(data: bytes, header: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """The sections of a component or a module: (number, body, where the section begins, where it ends).

    Raises:
        Malformed: Another header, or cut off.
    """
    if data[: len(header)] != header:
        raise Malformed(f"begins with {data[: len(header)].hex(' ')}")
    reader = Reader(data, len(header))
    while reader.at < len(data):
        begin = reader.at
        number = reader.byte()
        body = reader.bytes(reader.leb())
        yield number, body, begin, reader.at
