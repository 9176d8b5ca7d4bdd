"""Reads what a compiled component imports and exports into `lath.wit.types` descriptors, once per component.

What cannot be carried is noted with its reason instead of being given a descriptor: an import of that kind
keeps the component from starting, an export only from being called.
The values of WASI 0.3 (streams, futures, error-contexts) keep it from starting either way: wasmtime ends the
whole process when one of them reaches the C API.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref
from dataclasses import dataclass, field
from typing import Any, Final

from wasmtime import Engine as WasmEngine
from wasmtime import _ffi as ffi
from wasmtime import component as stock

from lath.wit.types import (
    Case,
    Enum,
    Field,
    Flags,
    Func,
    Handle,
    Interface,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    PrimitiveKind,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
    World,
)  # fmt: skip
from lath_host.engine.compose.names import NUMBERS, RESERVED
from lath_host.engine.values.exported import ExportedHandle
from lath_host.engine.values.local import LocalHandle
from lath_host.engine.wasi import is_our_resource

WORLD_LEVEL: Final = ""
"""The name under which functions of the world itself (of no interface) are kept."""

_PRIMITIVES: Final[tuple[PrimitiveKind, ...]] = (
    "bool", "s8", "s16", "s32", "s64", "u8", "u16", "u32", "u64", "f32", "f64", "char", "string",
)  # fmt: skip
_ITEM_TYPE: Final = int(ffi.WASMTIME_COMPONENT_ITEM_TYPE.value)
_WASI_0_3: Final = {23: "a future", 24: "a stream", 25: "an error-context"}


class Unsupported(Exception):
    """A type that cannot be carried; the message says which and why."""


class Uncrossable(Unsupported):
    """A type of which not even a value may come out of wasmtime."""


@dataclass(frozen=True)
class Reflected:
    """What a component says about itself.

    Attributes:
        world: Its imports and exports, without what cannot be carried. refused_imports: Reason by (import,
        function) for what keeps it from starting. refused_exports: Reason by (export, function) for what
        cannot be called. uncrossable_exports: Those of them that keep it from starting. aliased_resources:
        (interface, name) of an imported resource that another import defines -> the latter's. twins: Names of
        functions that a bridge or a keeper has added; the world is without them.
    """

    world: World
    refused_imports: dict[tuple[str, str], str] = field(default_factory=dict)
    refused_exports: dict[tuple[str, str], str] = field(default_factory=dict)
    uncrossable_exports: dict[tuple[str, str], str] = field(default_factory=dict)
    aliased_resources: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    twins: frozenset[str] = frozenset()

    @property
    def has_keeper(self) -> bool:
        """Whether it is of a component with its keeper, of which the world says too little."""
        return any(name.startswith(NUMBERS) for name in self.twins)


def instance_items(component: stock.Component, engine: WasmEngine) -> dict[str, dict[str, bool]]:
    """What each imported instance exports, by name, and whether that is a function; else it is a type."""
    with component.type as type_:
        instances = {name: _item(extern) for name, extern in type_.imports(engine).items()}
        return {
            name: {
                label: isinstance(_item(each), stock.FuncType) for label, each in item.exports(engine).items()
            }
            for name, item in instances.items()
            if isinstance(item, stock.ComponentInstanceType)
        }


def reflect(component: stock.Component, engine: WasmEngine) -> Reflected:
    """Reads the types of `component`."""
    return _Reader(engine).read(component)


def imported_handle(interface: str, resource: str) -> type[Handle]:
    """What the handles of a resource are that is imported.

    Args:
        interface: Its interface, or what that implements.
        resource: Its name.
    """
    return LocalHandle if is_our_resource(interface, resource) else Handle


class _Reader:
    def __init__(self, engine: WasmEngine) -> None:
        self._engine = engine
        self._resources: list[tuple[stock.ResourceType, type[Handle], str, str]] = []
        """(type, what its handles are, the interface that defines it, its name): imports before exports."""
        self._aliases: dict[tuple[str, str], tuple[str, str]] = {}
        self._twins: set[str] = set()
        self._uncrossable: dict[tuple[str, str], str] = {}

    def read(self, component: stock.Component) -> Reflected:
        with component.type as type_:
            refused_imports: dict[tuple[str, str], str] = {}
            imports = self._interfaces(type_.imports(self._engine), refused_imports, is_import=True)
            self._uncrossable = {}
            refused_exports: dict[tuple[str, str], str] = {}
            exports = self._interfaces(type_.exports(self._engine), refused_exports, is_import=False)
        world, twins = World(imports, exports), frozenset(self._twins)
        return Reflected(world, refused_imports, refused_exports, self._uncrossable, self._aliases, twins)

    def _interfaces(
        self, externs: dict[str, Any], refused: dict[tuple[str, str], str], *, is_import: bool
    ) -> dict[str, Interface]:
        interfaces: dict[str, Interface] = {}
        functions: dict[str, Func] = {}
        for name, extern in externs.items():
            if name.startswith((RESERVED, NUMBERS)):
                self._twins.add(name)
                continue
            item = _item(extern)
            if isinstance(item, stock.ComponentInstanceType):
                interfaces[name] = self._interface(name, extern.implements, item, refused, is_import)
            elif isinstance(item, stock.FuncType):
                self._add(functions, WORLD_LEVEL, name, item, refused)
            elif isinstance(item, stock.ResourceType):
                if is_import:
                    refused[WORLD_LEVEL, name] = "it is a resource of the world itself, not of an interface"
                else:
                    self._define_export(item, WORLD_LEVEL, name)
            elif isinstance(item, (stock.ComponentType, stock.ModuleType)):
                refused[WORLD_LEVEL, name] = "it is a component or core module, not an interface"
        if functions:
            interfaces[WORLD_LEVEL] = Interface(WORLD_LEVEL, functions)
        return interfaces

    def _interface(
        self,
        name: str,
        implements: str | None,
        instance: Any,
        refused: dict[tuple[str, str], str],
        is_import: bool,
    ) -> Interface:
        functions: dict[str, Func] = {}
        resources: list[str] = []
        externs = instance.exports(self._engine)
        items = {item_name: _item(extern) for item_name, extern in externs.items()}
        for item_name, item in items.items():
            if isinstance(item, stock.ResourceType) and (
                self._define_import(item, name, item_name, implements or name)
                if is_import
                else self._define_export(item, name, item_name)
            ):
                resources.append(item_name)
        for item_name, item in items.items():
            if isinstance(item, stock.FuncType):
                self._add(functions, name, item_name, item, refused)
        label = name if implements else None
        return Interface(implements or name, functions, tuple(resources), label)

    def _define_import(
        self, resource: stock.ResourceType, interface: str, name: str, implemented: str
    ) -> bool:
        """Notes an imported resource; False when an earlier import defines it and this one only uses it."""
        for known, _, known_interface, known_name in self._resources:
            if known == resource:
                self._aliases[interface, name] = (known_interface, known_name)
                return False
        handle = imported_handle(implemented, name)
        self._resources.append((resource, handle, interface, name))
        return True

    def _define_export(self, resource: stock.ResourceType, interface: str, name: str) -> bool:
        """Notes a resource of the component's own; False when an import or an earlier export defines it."""
        if any(known == resource for known, *_ in self._resources):
            return False
        self._resources.append((resource, ExportedHandle, interface, name))
        return True

    def _add(
        self,
        functions: dict[str, Func],
        interface: str,
        name: str,
        type_: Any,
        refused: dict[tuple[str, str], str],
    ) -> None:
        try:
            functions[name] = self._func(type_.ptr())
        except Uncrossable as reason:
            refused[interface, name] = self._uncrossable[interface, name] = str(reason)
        except Unsupported as reason:
            refused[interface, name] = str(reason)

    def _func(self, pointer: Any) -> Func:
        params = tuple(Field(name, type_) for name, type_ in self._params(pointer))
        result = ffi.wasmtime_component_valtype_t()
        has_result = ffi.wasmtime_component_func_type_result(pointer, byref(result))
        is_async = bool(ffi.wasmtime_component_func_type_async(pointer))
        return Func(params, self._take(result) if has_result else None, is_async)

    def _params(self, pointer: Any) -> Iterator[tuple[str, Type]]:
        for index in range(ffi.wasmtime_component_func_type_param_count(pointer)):
            name, size, type_ = ctypes.POINTER(ctypes.c_char)(), ctypes.c_size_t(), _valtype()
            ffi.wasmtime_component_func_type_param_nth(pointer, index, byref(name), byref(size), byref(type_))
            yield _text(name, size), self._take(type_)

    def _take(self, type_: Any) -> Type:
        """Reads a value type and frees it."""
        try:
            return self._type(type_.kind, type_.of)
        finally:
            ffi.wasmtime_component_valtype_delete(byref(type_))

    def _type(self, kind: int, of: Any) -> Type:
        # the numbers of wasmtime_component_valtype_kind_t
        if kind < len(_PRIMITIVES):
            return Primitive(_PRIMITIVES[kind])
        match kind:
            case 13:
                return ListOf(self._inner(ffi.wasmtime_component_list_type_element, of.list))
            case 14:
                return Record(tuple(self._fields(of.record)))
            case 15:
                return TupleOf(tuple(self._elements(of.tuple)))
            case 16:
                return Variant(tuple(self._cases(of.variant)))
            case 17:
                return Enum(tuple(_names("enum", of.enum_)))
            case 18:
                return OptionOf(self._inner(ffi.wasmtime_component_option_type_ty, of.option))
            case 19:
                return ResultOf(self._side("ok", of.result), self._side("err", of.result))
            case 20:
                return Flags(tuple(_names("flags", of.flags)))
            case 21:
                return self._handle("own", of.own)
            case 22:
                return self._handle("borrow", of.borrow)
            case 26:
                return MapOf(
                    self._inner(ffi.wasmtime_component_map_type_key, of.map),
                    self._inner(ffi.wasmtime_component_map_type_value, of.map),
                )
        if kind in _WASI_0_3:
            raise Uncrossable(f"its signature has {_WASI_0_3[kind]}, which wasmtime's C API cannot carry")
        raise Unsupported(f"its signature has a type of an unknown kind ({kind}), which cannot be carried")

    def _inner(self, read: Any, pointer: Any) -> Type:
        type_ = _valtype()
        read(pointer, byref(type_))
        return self._take(type_)

    def _side(self, side: str, pointer: Any) -> Type | None:
        type_ = _valtype()
        read = getattr(ffi, f"wasmtime_component_result_type_{side}")
        return self._take(type_) if read(pointer, byref(type_)) else None

    def _fields(self, pointer: Any) -> Iterator[Field]:
        for index in range(ffi.wasmtime_component_record_type_field_count(pointer)):
            name, size, type_ = ctypes.POINTER(ctypes.c_char)(), ctypes.c_size_t(), _valtype()
            ffi.wasmtime_component_record_type_field_nth(
                pointer, index, byref(name), byref(size), byref(type_)
            )
            yield Field(_text(name, size), self._take(type_))

    def _elements(self, pointer: Any) -> Iterator[Type]:
        for index in range(ffi.wasmtime_component_tuple_type_types_count(pointer)):
            type_ = _valtype()
            ffi.wasmtime_component_tuple_type_types_nth(pointer, index, byref(type_))
            yield self._take(type_)

    def _cases(self, pointer: Any) -> Iterator[Case]:
        for index in range(ffi.wasmtime_component_variant_type_case_count(pointer)):
            name, size, type_ = ctypes.POINTER(ctypes.c_char)(), ctypes.c_size_t(), _valtype()
            has_payload = ctypes.c_bool()
            ffi.wasmtime_component_variant_type_case_nth(
                pointer, index, byref(name), byref(size), byref(has_payload), byref(type_)
            )
            yield Case(_text(name, size), self._take(type_) if has_payload.value else None)

    def _handle(self, mode: Any, pointer: Any) -> Handle:
        clone = ffi.wasmtime_component_resource_type_clone(pointer)
        resource = stock.ResourceType._from_ptr(clone)
        for known, handle, interface, name in self._resources:
            if known == resource:
                return handle(mode, name, interface)
        raise Unsupported("its signature has a handle of a resource that the component keeps to itself")


def _item(extern: Any) -> Any:
    """What an import or export is. None for a mere type: the stock wrapper cannot read all of them."""
    item = ffi.wasmtime_component_item_t()
    ffi.wasmtime_component_extern_type(extern.ptr(), byref(item))
    is_type = int(item.kind) == _ITEM_TYPE
    ffi.wasmtime_component_item_delete(byref(item))
    return None if is_type else extern.ty


def _valtype() -> Any:
    return ffi.wasmtime_component_valtype_t()


def _text(name: Any, size: Any) -> str:
    return ctypes.string_at(name, size.value).decode()


def _names(kind: str, pointer: Any) -> Iterator[str]:
    count = getattr(ffi, f"wasmtime_component_{kind}_type_names_count")(pointer)
    read = getattr(ffi, f"wasmtime_component_{kind}_type_names_nth")
    for index in range(count):
        name, size = ctypes.POINTER(ctypes.c_char)(), ctypes.c_size_t()
        read(pointer, index, byref(name), byref(size))
        yield _text(name, size)
