"""The types of imported instances: taken apart, and put together of what several components declare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from lath_host.engine.compose.binary import Malformed, Reader, Sort, leb, vector
from lath_host.engine.compose.typedefs import (
    INSTANCE_TYPE,
    Declarator,
    Declared,
    TypeDeclared,
    TypeFromOutside,
    copied,
    written_declared,
)  # fmt: skip


class InterfaceType:
    """The type of an instance, put together of what several say of it."""

    def __init__(self) -> None:
        self._items: list[bytes] = []
        self._counts: Counter[Sort] = Counter()
        self._outside: dict[int, int] = {}
        self._exported: dict[tuple[Sort, str], int] = {}

    def written(self) -> bytes:
        return bytes([INSTANCE_TYPE]) + vector(self._items)

    def add(self, declared: Sequence[Declarator], outside: Callable[[int], int]) -> None:
        """Adds what is not there yet. `outside` gives the new index of a type around it."""
        local: list[int] = []

        def resolve(depth: int, index: int) -> int:
            if depth:
                return outside(index)
            if index >= len(local):
                raise Malformed(f"its type refers to {index}, which is not before it")
            return local[index]

        for each in declared:
            match each:
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


def only_types(declared: Sequence[Declarator]) -> Iterator[Declarator]:
    for each in declared:
        if isinstance(each, Declared) and each.sort is Sort.FUNC:
            continue
        if isinstance(each, Declared) and each.index is None:
            raise Malformed(f"it is joined, and its resource {each.name.text} is passed on to others")
        yield each
