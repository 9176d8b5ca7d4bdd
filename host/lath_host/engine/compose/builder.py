"""Writes a component: every definition that is added gets the next index of its sort, which is returned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lath_host.engine.compose.binary import (
    COMPONENT_HEADER,
    CoreSort,
    ExternName,
    Section,
    Sort,
    leb,
    name,
    plain_name,
    section,
    vector,
)  # fmt: skip
from lath_host.engine.compose.prefix import Prefix

_PLAIN_NAME = b"\0"
_LATIN1_OR_UTF16 = b"\x02"
_MEMORY = b"\x03"
_REALLOC = b"\x04"
_POST_RETURN = b"\x05"


class ComponentBuilder:
    """A component in the making.

    Args:
        prefix: What it begins with; None: nothing.
    """

    def __init__(self, prefix: Prefix | None = None) -> None:
        self._prefix = prefix.data if prefix else b""
        self._counts: Counter[Sort] = Counter(prefix.counts if prefix else {})
        self._core_counts: Counter[CoreSort] = Counter()
        self._sections: list[tuple[Section, list[bytes]]] = []

    def build(self) -> bytes:
        """The bytes of the component."""
        parts = [COMPONENT_HEADER, self._prefix]
        for kind, items in self._sections:
            single = kind in (Section.COMPONENT, Section.CORE_MODULE)
            parts.append(section(kind, items[0] if single else vector(items)))
        return b"".join(parts)

    def _append(self, kind: Section, item: bytes) -> None:
        alone = kind in (Section.COMPONENT, Section.CORE_MODULE)
        if alone or not self._sections or self._sections[-1][0] != kind:
            self._sections.append((kind, []))
        self._sections[-1][1].append(item)

    def _add(self, kind: Section, item: bytes, sort: Sort) -> int:
        self._append(kind, item)
        self._counts[sort] += 1
        return self._counts[sort] - 1

    def _add_core(self, kind: Section, item: bytes, sort: CoreSort) -> int:
        self._append(kind, item)
        self._core_counts[sort] += 1
        return self._core_counts[sort] - 1

    # -- types, imports, exports -----------------------------------------------------------------------------

    def type(self, definition: bytes) -> int:
        return self._add(Section.TYPE, definition, Sort.TYPE)

    def import_func(self, label: str, type_: int) -> int:
        return self._import(label, bytes([Sort.FUNC]) + leb(type_), Sort.FUNC)

    def import_type(self, label: str, type_: int) -> int:
        """A type that is given a name by being imported: equal to `type_`."""
        return self._import(label, bytes([Sort.TYPE, 0]) + leb(type_), Sort.TYPE)

    def import_resource(self, label: str) -> int:
        return self._import(label, bytes([Sort.TYPE, 1]), Sort.TYPE)

    def _import(self, label: str, declared: bytes, sort: Sort) -> int:
        return self.import_written(_PLAIN_NAME + name(label) + declared, sort)

    def import_written(self, item: bytes, sort: Sort) -> int:
        """An import whose name and declaration are written already."""
        return self._add(Section.IMPORT, item, sort)

    def export(self, label: str | ExternName, sort: Sort, index: int, type_: int | None = None) -> int:
        """Exports a definition; `type_` writes a function's type out again, in named types."""
        ascribed = b"\0" if type_ is None else b"\x01" + bytes([sort]) + leb(type_)
        called = label if isinstance(label, ExternName) else plain_name(label)
        return self._add(Section.EXPORT, called.data + bytes([sort]) + leb(index) + ascribed, sort)

    # -- components ------------------------------------------------------------------------------------------

    def component(self, data: bytes) -> int:
        return self._add(Section.COMPONENT, data, Sort.COMPONENT)

    def instantiate(self, component: int, given: Mapping[str, tuple[Sort, int]]) -> int:
        args = vector(name(label) + bytes([sort]) + leb(index) for label, (sort, index) in given.items())
        return self._add(Section.INSTANCE, b"\0" + leb(component) + args, Sort.INSTANCE)

    def alias(self, sort: Sort, instance: int, label: str) -> int:
        return self._add(Section.ALIAS, bytes([sort, 0]) + leb(instance) + name(label), sort)

    # -- core definitions ------------------------------------------------------------------------------------

    def core_module(self, data: bytes) -> int:
        return self._add_core(Section.CORE_MODULE, data, CoreSort.MODULE)

    def core_instantiate(self, module: int, given: Mapping[str, int]) -> int:
        args = vector(name(label) + bytes([CoreSort.INSTANCE]) + leb(index) for label, index in given.items())
        return self._add_core(Section.CORE_INSTANCE, b"\0" + leb(module) + args, CoreSort.INSTANCE)

    def core_instance_of(self, funcs: Mapping[str, int]) -> int:
        """A core instance put together of functions."""
        items = vector(name(label) + bytes([CoreSort.FUNC]) + leb(index) for label, index in funcs.items())
        return self._add_core(Section.CORE_INSTANCE, b"\x01" + items, CoreSort.INSTANCE)

    def core_alias(self, sort: CoreSort, instance: int, label: str) -> int:
        item = bytes([Sort.CORE, sort, 1]) + leb(instance) + name(label)
        return self._add_core(Section.ALIAS, item, sort)

    def lower(self, func: int, memory: int, realloc: int) -> int:
        options = _options(memory, realloc)
        return self._add_core(Section.CANON, b"\x01\0" + leb(func) + vector(options), CoreSort.FUNC)

    def lift(self, core_func: int, type_: int, memory: int, realloc: int, post_return: int) -> int:
        options = [*_options(memory, realloc), _POST_RETURN + leb(post_return)]
        item = b"\0\0" + leb(core_func) + vector(options) + leb(type_)
        return self._add(Section.CANON, item, Sort.FUNC)

    def lower_scalar(self, func: int) -> int:
        """Lowers a function whose values need no memory."""
        return self._add_core(Section.CANON, b"\x01\0" + leb(func) + vector([]), CoreSort.FUNC)

    def lift_scalar(self, core_func: int, type_: int) -> int:
        """Lifts a function whose values need no memory."""
        return self._add(Section.CANON, b"\0\0" + leb(core_func) + vector([]) + leb(type_), Sort.FUNC)

    def resource(self, destructor: int) -> int:
        """A resource of the component's own, represented by 32 bits, that a core function destroys."""
        return self.type(b"\x3f\x7f\x01" + leb(destructor))

    def new_of(self, resource: int) -> int:
        """The core function that makes a handle: (representation) -> handle."""
        return self._add_core(Section.CANON, b"\x02" + leb(resource), CoreSort.FUNC)

    def rep_of(self, resource: int) -> int:
        """The core function that says what a handle stands for: (handle) -> representation."""
        return self._add_core(Section.CANON, b"\x04" + leb(resource), CoreSort.FUNC)

    def drop_of(self, resource: int) -> int:
        """The core function that drops a handle."""
        return self._add_core(Section.CANON, b"\x03" + leb(resource), CoreSort.FUNC)


def _options(memory: int, realloc: int) -> Sequence[bytes]:
    return [_LATIN1_OR_UTF16, _MEMORY + leb(memory), _REALLOC + leb(realloc)]
