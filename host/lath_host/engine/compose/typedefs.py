"""Type definitions written out again elsewhere, where what they refer to has other indices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lath_host.engine.compose.binary import (
    ExternName,
    Malformed,
    Reader,
    Sort,
    leb,
    name,
    type_index,
    vector,
)  # fmt: skip

Resolve = Callable[[int, int], int]
"""(how many scopes further out, a type's index there) -> its index there in what is written."""

INSTANCE_TYPE: Final = 0x42
_PRIMITIVES: Final = frozenset({0x64, *range(0x73, 0x80)})
_OUTER: Final = 2
_EQUAL: Final = 0
_SUBRESOURCE: Final = 1
_NESTING_MAX: Final = 16
"""Types of instances within types of instances; WIT has none."""


@dataclass(frozen=True, slots=True)
class TypeDeclared:
    """A type defined in the type of an instance."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TypeFromOutside:
    """A type of the component in which the type of an instance stands."""

    index: int


@dataclass(frozen=True, slots=True)
class Declared:
    """What an instance exports, or a component imports: `index` is that of its type.

    None for a resource, which is a type of its own. `sort` is `CORE` for a core module.
    """

    name: ExternName
    sort: Sort
    index: int | None


Declarator = TypeDeclared | TypeFromOutside | Declared


def read_declared(reader: Reader, what: ExternName) -> Declared:
    """Reads what an import or export is declared as."""
    sort = reader.sort()
    if sort is Sort.VALUE:
        raise Malformed(f"{what.text} is a value")
    if sort is Sort.CORE:
        reader.byte()
    if sort is Sort.TYPE:
        bound = reader.byte()
        if bound == _SUBRESOURCE:
            return Declared(what, sort, None)
        if bound != _EQUAL:
            raise Malformed(f"the type {what.text} has an unknown bound")
    return Declared(what, sort, reader.leb())


def written_declared(declared: Declared, index: int | None, what: ExternName | None = None) -> bytes:
    """Writes a declaration again: with another index, and under another name where one is given."""
    bound = b""
    if declared.sort is Sort.TYPE:
        bound = bytes([_SUBRESOURCE if index is None else _EQUAL])
    return (
        (what or declared.name).data
        + bytes([declared.sort])
        + bound
        + (leb(index) if index is not None else b"")
    )


def declarators(data: bytes) -> list[Declarator]:
    """What the type of an instance declares, in order.

    Raises:
        Malformed: It is no such type, or one that WIT does not know.
    """
    reader = Reader(data)
    if reader.byte() != INSTANCE_TYPE:
        raise Malformed("is not declared as an instance")
    return [_declarator(reader) for _ in range(reader.leb())]


def _declarator(reader: Reader) -> Declarator:
    match reader.byte():
        case 1:
            begin = reader.at
            copied(reader, lambda depth, index: index)
            return TypeDeclared(reader.data[begin : reader.at])
        case 2:
            if (reader.sort(), reader.byte()) != (Sort.TYPE, _OUTER) or reader.leb() != 1:
                raise Malformed("its type has an alias that is not of a type around it")
            return TypeFromOutside(reader.leb())
        case 4:
            declared = read_declared(reader, reader.extern_name())
            if declared.sort not in (Sort.TYPE, Sort.FUNC):
                raise Malformed(f"it exports {declared.name.text}, which is neither a function nor a type")
            return declared
        case kind:
            raise Malformed(f"its type has a declaration of the unknown kind {kind}")


def copied(reader: Reader, resolve: Resolve, nesting: int = 0) -> bytes:
    """Reads one type definition, and returns it with the indices that `resolve` gives.

    Raises:
        Malformed: It is not a type that this knows, or a resource, which is the component's own.
    """
    return _Copy(reader, resolve, nesting).definition()


def referred(data: bytes) -> tuple[list[int], list[int]]:
    """The types that a type refers to: beside it, and in what is around it."""
    found: tuple[list[int], list[int]] = ([], [])

    def note(depth: int, index: int) -> int:
        found[min(depth, 1)].append(index)
        return index

    copied(Reader(data), note)
    return found


def without_async(reader: Reader) -> bytes:
    """Reads one type definition, and returns it with each async function as a plain one.

    Raises:
        Malformed: As `copied` does.
    """
    return _PlainCopy(reader, lambda depth, index: index, 0).definition()


class _Copy:
    def __init__(self, reader: Reader, resolve: Resolve, nesting: int) -> None:
        self._reader = reader
        self._resolve = resolve
        self._nesting = nesting

    def definition(self) -> bytes:
        kind = self._reader.byte()
        head = bytes([kind])
        if kind in _PRIMITIVES:
            return head
        match kind:
            case 0x72:  # record
                return head + self._each(lambda: self._name() + self._value())
            case 0x71:  # variant
                return head + self._each(lambda: self._name() + self._optional() + self._same(1))
            case 0x6F:  # tuple
                return head + self._each(self._value)
            case 0x6E | 0x6D:  # flags, enum
                return head + self._each(self._name)
            case 0x70 | 0x6B:  # list, option
                return head + self._value()
            case 0x67:  # list of a fixed length
                return head + self._value() + leb(self._reader.leb())
            case 0x63:  # map
                return head + self._value() + self._value()
            case 0x6A:  # result
                return head + self._optional() + self._optional()
            case 0x66 | 0x65:  # stream, future
                return head + self._optional()
            case 0x69 | 0x68:  # own, borrow
                return head + leb(self._index())
            case 0x40 | 0x43:  # function, synchronous or not
                head = self._func_head(head)
                return head + self._each(lambda: self._name() + self._value()) + self._result()
            case 0x41 | 0x42:  # component, instance
                return head + self._scope()
            case _:
                raise Malformed(f"a type of the unknown kind {kind:#x} before byte {self._reader.at}")

    def _func_head(self, head: bytes) -> bytes:
        return head

    def _scope(self) -> bytes:
        if self._nesting >= _NESTING_MAX:
            raise Malformed("types of instances stand too deep within each other")

        def within(depth: int, index: int) -> int:
            return self._resolve(depth - 1, index) if depth else index

        inner = type(self)(self._reader, within, self._nesting + 1)
        return self._each(inner.declaration)

    def declaration(self) -> bytes:
        """A declaration in the type of an instance or component; the indices within it stay."""
        reader = self._reader
        kind = reader.byte()
        head = bytes([kind])
        match kind:
            case 1:
                return head + self.definition()
            case 2:
                return head + self._alias()
            case 3 | 4:
                declared = read_declared(reader, reader.extern_name())
                if declared.sort is Sort.CORE:
                    raise Malformed(f"{declared.name.text} is a core module")
                return head + written_declared(declared, declared.index)
            case _:
                raise Malformed(f"a declaration of the unknown kind {kind} before byte {reader.at}")

    def _alias(self) -> bytes:
        reader = self._reader
        sort, target = reader.sort(), reader.byte()
        if sort is Sort.CORE:
            raise Malformed("an alias of a core definition in a type")
        head = bytes([sort, target])
        if target != _OUTER:
            return head + leb(reader.leb()) + self._name()
        depth, index = reader.leb(), reader.leb()
        if sort is not Sort.TYPE:
            raise Malformed("an alias of something around a type that is no type")
        return head + leb(depth) + leb(self._resolve(depth, index))

    def _each(self, item: Callable[[], bytes]) -> bytes:
        return vector(item() for _ in range(self._reader.leb()))

    def _name(self) -> bytes:
        return name(self._reader.name())

    def _same(self, size: int) -> bytes:
        return self._reader.bytes(size)

    def _index(self) -> int:
        return self._resolve(0, self._reader.leb())

    def _value(self) -> bytes:
        reader = self._reader
        if reader.at < len(reader.data) and reader.data[reader.at] in _PRIMITIVES:
            return reader.bytes(1)
        return type_index(self._index())

    def _optional(self) -> bytes:
        match self._reader.byte():
            case 0:
                return b"\0"
            case 1:
                return b"\x01" + self._value()
            case _:
                raise Malformed(f"neither a type nor none before byte {self._reader.at}")

    def _result(self) -> bytes:
        match self._reader.byte():
            case 0:
                return b"\0" + self._value()
            case 1:
                if self._reader.byte() == 0:
                    return b"\x01\0"
        raise Malformed(f"a result of an unknown form before byte {self._reader.at}")


class _PlainCopy(_Copy):
    def _func_head(self, head: bytes) -> bytes:
        return b"\x40"
