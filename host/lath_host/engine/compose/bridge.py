"""The bytes bridge: a component built around a finished one, in which `list<u8>` crosses as a string.

The outer component imports and exports what the inner one does, untouched, and beside that has a twin, under
a name of its own (`compose.names`), of each function that mentions `list<u8>`: of an export, one
that calls it; of an import, one that is called in its place. A twin's type has `string` for `list<u8>`; all
its strings are latin1+utf16 in the bridge's memory, so bytes sent as the characters below 256 lie there one
byte each.

An exported twin is lifted in the outer component itself. The imported ones are lifted in a component nested
in it, with a memory of its own, because they are entered while an export is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lath.wit.types import Func, Handle, Interface, ListOf, Type, World
from lath_host.engine.compose.binary import Malformed, Sort
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.compose.carry import Crossing, can_drop_borrows, carry
from lath_host.engine.compose.names import RESERVED, TYPE_PREFIX, bridged_name
from lath_host.engine.compose.nested import Carrier, Shim, carried_label, func_label, imported_resource
from lath_host.engine.compose.prefix import Prefix, read_prefix
from lath_host.engine.compose.types import Types
from lath_host.engine.reflect import WORLD_LEVEL
from lath_host.engine.values.bulk import in_bulk_if, params_in_bulk
from lath_host.engine.values.walk import parts_of
from lath_host.engine.wasi import native_interface

Key = tuple[str, str]
"""(interface as it stands in the component, function)"""


@dataclass(frozen=True)
class Crossings:
    """The functions that a bridge carries."""

    exports: Mapping[Key, Func]
    imports: Mapping[Key, Func]

    def __bool__(self) -> bool:
        return bool(self.exports or self.imports)


def crossings_of(world: World) -> Crossings:
    """Which functions of `world` a bridge carries: those with `list<u8>`, native imports aside."""
    return Crossings(
        dict(_crossing(world.exports, lambda interface: True)),
        dict(_crossing(world.imports, lambda interface: not native_interface(interface.name))),
    )


def func_in_bulk(func: Func) -> Func:
    """The type of a function's twin."""
    return Func(params_in_bulk(func.params), in_bulk_if(func.result), func.is_async)


def bridged(
    source: bytes, crossings: Crossings, world: World, items: Mapping[str, Mapping[str, bool]]
) -> bytes:
    """The component around `source`.

    Args:
        source: The bytes of a component.
        crossings: What is carried.
        world: What the component imports and exports.
        items: By the name of an imported instance: what it exports, and whether that is a function.

    Raises:
        Malformed: The component is built in a way that cannot be bridged; the message says which.
    """
    prefix = read_prefix(source)
    names = [*prefix.imports, *(export.name for export in prefix.exports)]
    if any(name.startswith(RESERVED) for name in names):
        raise Malformed(f"a name begins with {RESERVED}")
    return _Bridge(prefix, world, items).build(source, crossings)


def _crossing(
    interfaces: Mapping[str, Interface], carried: Callable[[Interface], bool]
) -> Iterator[tuple[Key, Func]]:
    for name, interface in interfaces.items():
        if carried(interface):
            for function, func in interface.functions.items():
                types = [*(param.type for param in func.params), func.result]
                if any(map(_has_bytes, types)) and can_drop_borrows(func):
                    yield (name, function), func


def _has_bytes(type_: Type | None) -> bool:
    return (isinstance(type_, ListOf) and type_.is_bytes) or any(map(_has_bytes, parts_of(type_)))


class _Bridge:
    def __init__(self, prefix: Prefix, world: World, items: Mapping[str, Mapping[str, bool]]) -> None:
        self._prefix = prefix
        self._world = world
        self._items = items
        self._resources: dict[Key, int] = {}
        self._outer = ComponentBuilder(prefix)
        self._types = Types(self._outer, self._resource, TYPE_PREFIX)

    def build(self, source: bytes, crossings: Crossings) -> bytes:
        given = dict(self._prefix.imports)
        if crossings.imports:
            given |= self._carry_imports(crossings.imports)
        outer = self._outer
        inner = outer.instantiate(outer.component(source), given)
        twins = self._carry_exports(crossings.exports, inner)
        self._export_again(inner)
        for label, func in twins.items():
            outer.export(label, Sort.FUNC, func)
        return outer.build()

    def _export_again(self, inner: int) -> None:
        """Exports what the inner component exports, but for the world's types: no host asks for those."""
        functions = self._world.exports.get(WORLD_LEVEL)
        for export in self._prefix.exports:
            if export.is_core:
                raise Malformed(f"the export {export.name} is a core module")
            if export.sort is Sort.TYPE:
                continue
            index = self._outer.alias(export.sort, inner, export.name)
            type_ = None
            if export.sort is Sort.FUNC and functions and export.name in functions.functions:
                # in types that are named here, as those of the inner component are not
                type_ = self._types.func(functions.functions[export.name])
            self._outer.export(export.name, export.sort, index, type_)

    # -- exports ---------------------------------------------------------------------------------------------

    def _carry_exports(self, exports: Mapping[Key, Func], inner: int) -> dict[str, int]:
        """Lifts the exported twins; the function by its name."""
        if not exports:
            return {}
        outer, instances, crossings = self._outer, {WORLD_LEVEL: inner}, []
        for (interface, function), func in exports.items():
            if interface not in instances:
                instances[interface] = outer.alias(Sort.INSTANCE, inner, interface)
            called = outer.alias(Sort.FUNC, instances[interface], function)
            crossings.append(Crossing(called, func_in_bulk(func)))
        lifted = carry(outer, self._types, crossings)
        return {bridged_name("export", *key): func for key, func in zip(exports, lifted, strict=True)}

    # -- imports ---------------------------------------------------------------------------------------------

    def _carry_imports(self, imports: Mapping[Key, Func]) -> dict[str, tuple[Sort, int]]:
        """Imports the twins, and makes of them what the inner component is given in place of its imports."""
        outer = self._outer
        carrier = Carrier([(func, func_in_bulk(func)) for func in imports.values()])
        given = self._given(carrier.types.imported)
        for number, (key, func) in enumerate(imports.items()):
            type_ = self._types.func(func_in_bulk(func))
            given[func_label(number)] = (Sort.FUNC, outer.import_func(bridged_name("import", *key), type_))
        for label, handle in carrier.resources.items():
            given[label] = (Sort.TYPE, self._resource(handle))
        instance = outer.instantiate(outer.component(carrier.builder.build()), given)
        carried = {
            key: outer.alias(Sort.FUNC, instance, carried_label(number)) for number, key in enumerate(imports)
        }
        replaced = {
            function: (Sort.FUNC, func) for (name, function), func in carried.items() if name == WORLD_LEVEL
        }
        for interface in dict.fromkeys(name for name, _ in carried if name != WORLD_LEVEL):
            functions = [function for name, function in imports if name == interface]
            imported = self._world.imports[interface]
            shim = Shim(self._prefix, interface, imported, self._items[interface], functions)
            given = self._prefix.imports | self._given(shim.imported_types)
            for number, function in enumerate(functions):
                given[func_label(number)] = (Sort.FUNC, carried[interface, function])
            component = outer.component(shim.builder.build())
            replaced[interface] = (Sort.INSTANCE, outer.instantiate(component, given))
        return replaced

    def _given(self, types: Mapping[str, Type]) -> dict[str, tuple[Sort, int]]:
        """The types that a nested component imports."""
        return {label: (Sort.TYPE, self._types.index(type_)) for label, type_ in types.items()}

    def _resource(self, handle: Handle) -> int:
        """The type index of an imported resource."""
        return imported_resource(self._outer, self._prefix, self._resources, handle)
