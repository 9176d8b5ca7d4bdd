"""Fusion: one component out of several, in which calls between them never leave wasm.

The outer component declares the imports that are left, has each part nested in it, instantiates callees
before callers, gives a caller its callee's exports in place of its imports, and exports what the first part
exports. Each part keeps memories and tables of its own; what is shared is the store: a trap ends all parts,
and fuel, time and the limits count for them together.

Whether the types at a joint fit is left to wasmtime, which checks them when it compiles the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lath_host.engine.compose.anatomy import Anatomy, RootExport
from lath_host.engine.compose.binary import Malformed, Sort
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.compose.merge import MergedImports
from lath_host.engine.compose.reach import Reach, reach_of_import, reach_of_instance, reach_of_types


@dataclass(frozen=True, slots=True)
class Part:
    """A component that is fused with others.

    Attributes:
        name: Its component id.
        source: Its bytes, in binary form.
    """

    name: str
    source: bytes


@dataclass(frozen=True, slots=True)
class Join:
    """An import of one part that another part's export answers.

    Attributes:
        caller: The part that imports.
        import_name: The import as it stands in the caller: an interface with its version, or a label.
        callee: The part that exports.
        export_name: The export as it stands in the callee.
    """

    caller: str
    import_name: str
    callee: str
    export_name: str


@dataclass(frozen=True, slots=True)
class Fused:
    """Several components in one.

    Attributes:
        source: Its bytes.
        imports: By the name of each interface or function that is imported and not native: (the part that it
            belongs to, its name there). The first part's imports keep their names.
    """

    source: bytes
    imports: Mapping[str, tuple[str, str]]


class CannotFuse(Exception):
    """The components cannot be fused; the message names the part and says why."""


def fuse(parts: Sequence[Part], joins: Sequence[Join], native: Callable[[str], bool]) -> Fused:
    """Fuses components into one that exports what the first of them exports.

    Args:
        parts: The components, each once.
        joins: Which import is answered by which export. Every part is reached from the first, and none from
            itself.
        native: Whether wasmtime answers the interface of that name. Such imports are shared by all parts.

    Raises:
        CannotFuse: The parts are not built in a way that this can put together.
    """
    return _Fusion(parts, joins, native).build()


class _Fusion:
    def __init__(self, parts: Sequence[Part], joins: Sequence[Join], native: Callable[[str], bool]) -> None:
        self._parts = parts
        self._numbers = {part.name: number for number, part in enumerate(parts)}
        if not parts or len(self._numbers) < len(parts):
            raise CannotFuse("each part has to be given once")
        self._anatomies = [self._anatomy(part) for part in parts]
        self._joined = {(self._number(join.caller), join.import_name): join for join in joins}
        if len(self._joined) < len(joins):
            raise CannotFuse("an import is joined twice")
        for join in joins:
            self._check(join)
        self._order = self._callees_first()
        self._builder = ComponentBuilder()
        self._native = native
        self._imports = MergedImports(self._builder, self._anatomies, self._joined.keys(), native)

    def build(self) -> Fused:
        self._check_resources()
        self._declare_imports()
        components = [self._builder.component(part.source) for part in self._parts]
        instances: dict[int, int] = {}
        for part in self._order:
            instances[part] = self._builder.instantiate(components[part], self._given(part, instances))
        with self._said_of(0):
            self._imports.export_again(0, self._anatomies[0].exports, instances[0])
        sources = self._imports.sources.items()
        names = {outer: (self._parts[part].name, name) for outer, (part, name) in sources}
        return Fused(self._builder.build(), names)

    # -- what is asked for -----------------------------------------------------------------------------------

    def _anatomy(self, part: Part) -> Anatomy:
        with self._said_of(self._numbers[part.name]):
            return Anatomy(part.source)

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            raise CannotFuse(f"{name} is joined, but is no part")
        return self._numbers[name]

    def _check(self, join: Join) -> None:
        caller, callee = self._number(join.caller), self._number(join.callee)
        declared = self._anatomies[caller].imports.get(join.import_name)
        if declared is None:
            raise CannotFuse(f"{join.caller} does not import {join.import_name}")
        offered = [e.sort for e in self._anatomies[callee].exports if e.name.text == join.export_name]
        if offered != [declared.sort]:
            raise CannotFuse(
                f"{join.callee} has no export {join.export_name} of the kind that {join.caller} imports"
            )

    def _callees_first(self) -> list[int]:
        callees: dict[int, list[int]] = {number: [] for number in range(len(self._parts))}
        for (caller, _), join in self._joined.items():
            callees[caller].append(self._number(join.callee))
        order: list[int] = []
        path: list[int] = []

        def visit(part: int) -> None:
            if part in path:
                cycle = " -> ".join(self._parts[each].name for each in [*path[path.index(part) :], part])
                raise CannotFuse(f"calls run in a circle: {cycle}")
            if part not in order:
                path.append(part)
                for callee in callees[part]:
                    visit(callee)
                order.append(path.pop())

        visit(0)
        for number, part in enumerate(self._parts):
            if number not in order:
                raise CannotFuse(f"nothing that is joined calls {part.name}")
        return order

    def _check_resources(self) -> None:
        for number, anatomy in enumerate(self._anatomies):
            with self._said_of(number):
                for name in anatomy.imports:
                    self._check_import(number, name)
        with self._said_of(0):
            for export in self._anatomies[0].exports:
                self._check_export(export)

    def _check_import(self, part: int, name: str) -> None:
        """Refuses an import that passes resources of another, where only one of the two is joined."""
        joined = (part, name) in self._joined
        for other in reach_of_import(self._anatomies[part], name).resources:
            if ((part, other) in self._joined) != joined and not self._native(other):
                raise Malformed(
                    f"the import {name} passes resources of {other}, and only one of the two is answered by "
                    "a component that is fused"
                )

    def _check_export(self, export: RootExport) -> None:
        """Refuses an export that passes a callee's resources: they would be other ones for its callers."""
        for name in self._reach(export).resources:
            join = self._joined.get((0, name))
            if join:
                raise Malformed(
                    f"the export {export.name.text} passes on resources of {name}, "
                    f"which {join.callee} answers"
                )

    def _reach(self, export: RootExport) -> Reach:
        """What an export of the first part leads to."""
        if export.sort is Sort.INSTANCE:
            return reach_of_instance(self._anatomies[0], export.index)
        return reach_of_types(self._anatomies[0], [] if export.type_ is None else [export.type_])

    # -- the component around them ---------------------------------------------------------------------------

    def _declare_imports(self) -> None:
        for number, anatomy in enumerate(self._anatomies):
            with self._said_of(number):
                for name in anatomy.imports:
                    if (number, name) not in self._joined:
                        self._imports.index(number, name)
        with self._said_of(0):
            for export in self._anatomies[0].exports:
                if export.sort is Sort.FUNC:
                    for name in sorted(self._reach(export).imports):
                        self._imports.index(0, name)

    def _given(self, part: int, instances: Mapping[int, int]) -> dict[str, tuple[Sort, int]]:
        """What a part is instantiated with."""
        given = {}
        for name, declared in self._anatomies[part].imports.items():
            join = self._joined.get((part, name))
            if join is None:
                index = self._imports.index(part, name)
            else:
                callee = instances[self._number(join.callee)]
                index = self._builder.alias(declared.sort, callee, join.export_name)
            given[name] = (declared.sort, index)
        return given

    @contextmanager
    def _said_of(self, part: int) -> Iterator[None]:
        try:
            yield
        except Malformed as reason:
            raise CannotFuse(f"{self._parts[part].name}: {reason}") from None
