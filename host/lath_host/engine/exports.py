"""The functions that a component exports: found by name and version, compiled once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lath.errors import InvalidArgument, NotFound
from lath.names import InterfaceName, shown, versions_compatible
from lath.wit.types import Func
from lath_host.engine import capi
from lath_host.engine.compose.bridge import func_in_bulk
from lath_host.engine.reflect import WORLD_LEVEL
from lath_host.engine.values import Lift, LowerParams, handles_in, lift_of, lower_params_of

if TYPE_CHECKING:
    from lath_host.engine.engine import CompiledComponent

_WORLD_TOKEN: Final = "_"
"""Stands for the interface of a world's own function on the wire."""
_NAMES_MAX: Final = 4096
"""Names kept, each compatible version that somebody asked for counted apart: versions are the callers'
choice."""


@dataclass(frozen=True, eq=False, slots=True)
class ExportPlan:
    """An exported function, compiled.

    Attributes:
        func: Its signature.
        index: Address of its export index.
        lower_params: Lays the parameters out.
        lift_result: Reads the result; None where there is none.
        params_count: How many parameters it has.
        lowers_handles: Whether parameters contain handles, which only a live store can make.
    """

    func: Func
    index: int
    lower_params: LowerParams
    lift_result: Lift | None
    params_count: int
    lowers_handles: bool


class Exports:
    """The exports of one component.

    Attributes:
        plans: By (interface, function), as they were asked for.
    """

    def __init__(self, compiled: CompiledComponent, name: str) -> None:
        self.plans: dict[tuple[str, str], ExportPlan] = {}
        self._compiled = compiled
        self._name = name

    def close(self) -> None:
        """Frees the export indices."""
        for plan in {id(plan): plan for plan in self.plans.values()}.values():
            capi.component_export_index_delete(plan.index)
        self.plans.clear()

    def find(self, interface: str, function: str) -> tuple[str, Func]:
        """The interface as the component calls it, and the function's signature.

        Raises:
            NotFound: There is none of that name, or only in another version; both are named.
            InvalidArgument: It cannot be called; the message has the reason.
        """
        name = self._find_interface(WORLD_LEVEL if interface == _WORLD_TOKEN else interface)
        reason = self._compiled.unsupported(name, function)
        if reason is not None:
            raise InvalidArgument(f"{self._name} cannot be called at {interface} {reason}")
        functions = self._compiled.world.exports[name].functions
        if function not in functions:
            raise NotFound(
                f"{self._name} has no function {shown(function)} in {name or 'its world'} "
                f"(it has {', '.join(functions) or 'none'})"
            )
        return name, functions[function]

    def prepare(self, component: Any, interface: str, function: str) -> ExportPlan:
        """Compiles an export of `component`, and keeps it under the name that it was asked for by."""
        name, func = self.find(interface, function)
        plan = self.plans.get((name, function))
        if plan is None:
            twin = self._compiled.twin("export", name, function)
            carried = func_in_bulk(func) if twin else func
            plan = self.plans[name, function] = ExportPlan(
                func=func,
                index=_export_index(component, *((WORLD_LEVEL, twin) if twin else (name, function))),
                lower_params=lower_params_of(carried.params),
                lift_result=lift_of(carried.result) if carried.result else None,
                params_count=len(func.params),
                lowers_handles=any(True for param in func.params for _ in handles_in(param.type)),
            )
        if len(self.plans) < _NAMES_MAX:
            self.plans[interface, function] = plan
        return plan

    def _find_interface(self, interface: str) -> str:
        exports = self._compiled.world.exports
        if interface in exports:
            return interface
        if interface == WORLD_LEVEL and self._compiled.unsupported(WORLD_LEVEL):
            raise InvalidArgument(
                f"{self._name} cannot be called at its world: {self._compiled.unsupported(WORLD_LEVEL)}"
            )
        offered = [name for name in exports if name]
        if interface != WORLD_LEVEL:
            asked = InterfaceName.parse(interface)
            for name in offered:
                if _serves(name, asked):
                    return name
        listed = ", ".join(offered) or "no interface"
        raise NotFound(f"{self._name} does not export {interface or 'functions of its world'}, but {listed}")


def _serves(offered: str, asked: InterfaceName) -> bool:
    try:
        name = InterfaceName.parse(offered)
    except InvalidArgument:
        return False
    return name.unversioned == asked.unversioned and versions_compatible(asked.version, name.version)


def _export_index(component: Any, interface: str, function: str) -> int:
    pointer = capi.pointer_value(component.ptr())
    outer: int | None = None
    if interface:
        name = interface.encode()
        outer = capi.component_get_export_index(pointer, None, name, len(name))
    name = function.encode()
    index: int = capi.component_get_export_index(pointer, outer, name, len(name))
    if outer:
        capi.component_export_index_delete(outer)
    return index
