"""The types of imported instances: taken apart, and put together of what several components declare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lath_host.engine.compose.binary import Malformed, Reader, Sort, leb, vector
from lath_host.engine.compose.typedefs import (
    INSTANCE_TYPE,
    Declarator,
    Declared,
    TypeDeclared,
    TypeFromOutside,
    copied,
    referred,
    written_declared,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TypeLeftOut:
    """Stands where a type was, so that the indices of those behind it stay."""


Item = Declarator | TypeLeftOut


class InterfaceType:
    """The type of an instance, put together of what several say of it."""

    def __init__(self) -> None:
        self._items: list[bytes] = []
        self._counts: Counter[Sort] = Counter()
        self._outside: dict[int, int] = {}
        self._exported: dict[tuple[Sort, str], int] = {}

    def written(self) -> bytes:
        return bytes([INSTANCE_TYPE]) + vector(self._items)

    def add(self, declared: Iterable[Item], outside: Callable[[int], int]) -> None:
        """Adds what is not there yet. `outside` gives the new index of a type around it."""
        local: list[int | None] = []

        def resolve(depth: int, index: int) -> int:
            if depth:
                return outside(index)
            found = local[index] if index < len(local) else None
            if found is None:
                raise Malformed(f"its type refers to {index}, which is not before it")
            return found

        for each in declared:
            match each:
                case TypeLeftOut():
                    local.append(None)
                case TypeDeclared(data=data):
                    local.append(self._add(b"\x01" + copied(Reader(data), resolve)))
                case TypeFromOutside(index=index):
                    local.append(self._from_outside(outside(index)))
                case Declared(name=name, sort=sort, index=bound):
                    type_ = None if bound is None else resolve(0, bound)
                    if (sort, name.text) not in self._exported:
                        item = b"\x04" + written_declared(each, type_)
                        self._exported[sort, name.text] = self._add(item, sort)
                    if sort is Sort.TYPE:
                        local.append(self._exported[sort, name.text])

    def _add(self, item: bytes, sort: Sort = Sort.TYPE) -> int:
        """Adds a declaration; its index."""
        self._items.append(item)
        self._counts[sort] += 1
        return self._counts[sort] - 1

    def _from_outside(self, index: int) -> int:
        if index not in self._outside:
            self._outside[index] = self._add(bytes([2, Sort.TYPE, 2, 1]) + leb(index))
        return self._outside[index]


def only_types(declared: Sequence[Declarator], left_out: Callable[[int], bool]) -> Iterator[Item]:
    """The types of an interface that are not resources and mention none.

    Args:
        declared: The interface.
        left_out: Whether a type around it, by its index, is or mentions one.
    """
    without: set[int] = set()
    number = 0
    for each in declared:
        match each:
            case Declared(sort=Sort.FUNC):
                continue
            case Declared(index=index):
                goes = index is None or index in without
            case TypeDeclared(data=data):
                goes = not without.isdisjoint(referred(data)[0])
            case TypeFromOutside(index=index):
                goes = left_out(index)
        if goes:
            without.add(number)
        yield TypeLeftOut() if goes else each
        number += 1
