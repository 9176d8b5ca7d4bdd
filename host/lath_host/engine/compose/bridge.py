"""The bytes bridge: a component built around a finished one, in which `list<u8>` crosses as a string.

The outer component imports and exports what the inner one does, untouched, and beside that has a twin, under
a name of its own (`compose.names`), of each function that mentions `list<u8>`: of an export, one
that calls it; of an import, one that is called in its place. A twin's type has `string` for `list<u8>`; all
its strings are latin1+utf16 in the bridge's memory, so bytes sent as the characters below 256 lie there one
byte each.

An exported twin is lifted in the outer component itself. The imported ones are lifted in a component nested
in it, with a memory of its own, because they are entered while an export is under way.

An import of an async function (WASI 0.3) is carried too, whether it has bytes or not: wasmtime's C API gives
only plain functions to a guest. So the outer component imports plain ones, and what the inner one gets in
their place is async and waits, without giving way, until the twin has its answer.

Beside twins there is a function for each resource that the component exports, which drops a handle of it: a
host whose store is asynchronous has no other way to have the component's destructor run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lath.wit.types import Field, Func, Handle, Interface, ListOf, Record, Type, Variant, World
from lath_host.engine.compose.binary import Malformed, Sort
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.compose.carry import Crossing, can_drop_borrows, carry, is_list_of_borrows
from lath_host.engine.compose.names import RESERVED, TYPE_PREFIX, bridged_name, drop_name
from lath_host.engine.compose.nested import Carrier, Shim, carried_label, func_label, imported_resource
from lath_host.engine.compose.prefix import Prefix, read_prefix, with_plain_imports
from lath_host.engine.compose.types import Types
from lath_host.engine.reflect import WORLD_LEVEL
from lath_host.engine.values.bulk import in_bulk_if, params_in_bulk
from lath_host.engine.values.exported import ExportedHandle
from lath_host.engine.values.walk import handles_in, parts_of, types_of
from lath_host.engine.wasi import BLOB_TYPES, is_ours, native_interface

_STREAMS: Final = native_interface("wasi:io/streams@0.2.0")
_HTTP: Final = native_interface("wasi:http/types@0.2.0")
_TCP: Final = native_interface("wasi:sockets/tcp@0.2.0")
_RUN: Final = native_interface("wasi:cli/run@0.2.0")

Key = tuple[str, str]
"""(interface as it stands in the component, function)"""


@dataclass(frozen=True)
class Crossings:
    """What a bridge carries: functions, and the drops of (interface, resource)."""

    exports: Mapping[Key, Func]
    imports: Mapping[Key, Func]
    drops: Sequence[Key] = ()

    def __bool__(self) -> bool:
        return bool(self.exports or self.imports or self.drops)


def crossings_of(world: World) -> Crossings:
    """What a bridge carries: all that is needed, and functions with `list<u8>`.

    Of native interfaces only the streams are carried, where bodies, connections or objects may pass through
    them and not just what is printed; and what gives a whole object.
    """
    needed = needed_of(world)
    natives = {native_interface(interface.name) for interface in world.imports.values()}
    has_bodies = bool(natives & {_HTTP, _TCP, BLOB_TYPES}) or any(
        native_interface(name) == _RUN for name in world.exports
    )
    carried = {None, _STREAMS, BLOB_TYPES} if has_bodies else {None}
    imports = _crossing(
        world.imports, lambda interface: native_interface(interface.name) in carried, _has_bytes
    )
    return Crossings(
        dict(_crossing(world.exports, lambda interface: True, _has_bytes)),
        {**needed.imports, **dict(imports)},
        needed.drops,
    )


def needed_of(world: World) -> Crossings:
    """What has to be carried whether or not bytes are.

    These are the drops of the exported resources, those of the world itself aside, which no other component
    can name; async imports; and imports that are lent several handles: wasmtime 50 traps where a guest lends
    several that it owns to a host ("deferred host scope has no call context"), and not where it was lent them
    itself, as what carries them is.
    """
    drops = [
        (name, resource)
        for name, interface in world.exports.items()
        if name != WORLD_LEVEL
        for resource in interface.resources
    ]
    return Crossings({}, dict(_crossing(world.imports, _is_answered, _must_cross)), drops)


def _is_answered(interface: Interface) -> bool:
    """Whether it is Python that answers it."""
    native = native_interface(interface.name)
    return native is None or is_ours(native)


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
    if any(func.is_async for func in crossings.imports.values()):
        prefix = with_plain_imports(prefix)
    return _Bridge(prefix, world, items).build(source, crossings)


def _crossing(
    interfaces: Mapping[str, Interface],
    in_question: Callable[[Interface], bool],
    carried: Callable[[Func], bool],
) -> Iterator[tuple[Key, Func]]:
    for name, interface in interfaces.items():
        if in_question(interface):
            for function, func in interface.functions.items():
                if carried(func) and can_drop_borrows(func) and not any(map(_names_own, types_of(func))):
                    yield (name, function), func


def _has_bytes(func: Func) -> bool:
    return any(map(_contains_bytes, types_of(func)))


def _contains_bytes(type_: Type | None) -> bool:
    return (isinstance(type_, ListOf) and type_.is_bytes) or any(map(_contains_bytes, parts_of(type_)))


def _must_cross(func: Func) -> bool:
    return func.is_async or _is_lent_several(func)


def _is_lent_several(func: Func) -> bool:
    lists = any(is_list_of_borrows(param.type) for param in func.params)
    return (
        lists
        or sum(handle.mode == "borrow" for param in func.params for handle in handles_in(param.type)) > 1
    )


def _names_own(type_: Type | None) -> bool:
    """Whether a type that has to be imported for its name mentions an exported resource, which none can."""
    if isinstance(type_, (Record, Variant)):
        return any(isinstance(handle, ExportedHandle) for handle in handles_in(type_))
    return any(map(_names_own, parts_of(type_)))


class _Bridge:
    def __init__(self, prefix: Prefix, world: World, items: Mapping[str, Mapping[str, bool]]) -> None:
        self._prefix = prefix
        self._world = world
        self._items = items
        self._resources: dict[Key, int] = {}
        self._own_resources: dict[Key, int] = {}
        self._exported: dict[str, int] = {}
        self._outer = ComponentBuilder(prefix)
        self._types = Types(self._outer, self._resource, TYPE_PREFIX)

    def build(self, source: bytes, crossings: Crossings) -> bytes:
        given = dict(self._prefix.imports)
        if crossings.imports:
            given |= self._carry_imports(crossings.imports)
        outer = self._outer
        inner = outer.instantiate(outer.component(source), given)
        self._export_again(inner)
        added = self._carry_exports(crossings.exports, inner)
        added |= {drop_name(*key): self._drop(*key) for key in crossings.drops}
        for label, func in added.items():
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
            self._exported[export.name] = self._outer.export(export.name, export.sort, index, type_)

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
        twins = [replace(func_in_bulk(func), is_async=False) for func in imports.values()]
        carrier = Carrier(list(zip(imports.values(), twins, strict=True)))
        given = self._types.given(carrier.types.imported)
        for number, (key, twin) in enumerate(zip(imports, twins, strict=True)):
            given_func = outer.import_func(bridged_name("import", *key), self._types.func(twin))
            given[func_label(number)] = (Sort.FUNC, given_func)
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
            given = self._prefix.imports | self._types.given(shim.imported_types)
            for number, function in enumerate(functions):
                given[func_label(number)] = (Sort.FUNC, carried[interface, function])
            component = outer.component(shim.builder.build())
            replaced[interface] = (Sort.INSTANCE, outer.instantiate(component, given))
        return replaced

    def _drop(self, interface: str, resource: str) -> int:
        """Lifts what drops a handle of a resource that the component exports."""
        handle = ExportedHandle("own", resource, interface)
        drop = self._outer.drop_of(self._resource(handle))
        return self._outer.lift_scalar(drop, self._types.func(Func((Field("handle", handle),), None)))

    def _resource(self, handle: Handle) -> int:
        """The type index of an imported resource, or of one that the component exports."""
        if isinstance(handle, ExportedHandle):
            return self._own_resource(handle)
        return imported_resource(self._outer, self._prefix, self._resources, handle)

    def _own_resource(self, handle: ExportedHandle) -> int:
        key = handle.interface, handle.resource
        if key not in self._own_resources:
            if handle.interface not in self._exported:
                raise Malformed(f"the resource {handle.resource} is exported by no interface")
            instance = self._exported[handle.interface]
            self._own_resources[key] = self._outer.alias(Sort.TYPE, instance, handle.resource)
        return self._own_resources[key]
