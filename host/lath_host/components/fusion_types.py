"""Whether the types of two components allow that one answers the other from within."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from lath.wit.types import Func, Handle, Interface, World
from lath_host.engine.values import handles_in
from lath_host.engine.values.exported import ExportedHandle


def missing_function(imported: Interface, exported: Interface) -> str | None:
    """A function that is imported and not exported with the same type; None where all are."""
    for name, func in imported.functions.items():
        offered = exported.functions.get(name)
        if offered is None or _shape(offered) != _shape(func):
            return name
    return None


def passes_on(world: World, imports: Collection[str]) -> bool:
    """Whether a component and its callers pass handles of resources that these of its imports define."""
    return any(
        handle.interface in imports and not isinstance(handle, ExportedHandle)
        for interface in world.exports.values()
        for func in interface.functions.values()
        for handle in _handles_of(func)
    )


def _handles_of(func: Func) -> Iterator[Handle]:
    for type_ in (*(param.type for param in func.params), func.result):
        yield from handles_in(type_)


def _shape(type_: Any) -> Any:
    """What two types have in common when they are one: whose a resource is depends on the side."""
    if isinstance(type_, Handle):
        return Handle, type_.mode, type_.resource
    if is_dataclass(type_):
        return type(type_), *(_shape(getattr(type_, f.name)) for f in fields(type_) if f.compare)
    if isinstance(type_, tuple):
        return tuple(_shape(part) for part in type_)
    return type_
