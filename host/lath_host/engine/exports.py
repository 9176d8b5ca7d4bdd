"""The functions that a component exports, by the names that it exports them by: compiled once.

Which export serves the version that a caller was built against is `lath_host.components.offered`'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lath.errors import InvalidArgument, NotFound
from lath.names import shown
from lath.wit.types import Field, Func
from lath_host.engine import capi
from lath_host.engine.compose.bridge import func_in_bulk
from lath_host.engine.compose.names import SETTLE_NAME
from lath_host.engine.reflect import WORLD_LEVEL
from lath_host.engine.values import (
    ExportedHandle,
    Lift,
    LowerParams,
    func_in_numbers,
    handles_in,
    lift_of,
    lower_params_of,
)  # fmt: skip

if TYPE_CHECKING:
    from lath_host.engine.engine import CompiledComponent

_DROP: Final = "[resource-drop]"
"""As the canonical ABI names it. No function of WIT is called so, so that no call can ask for it."""
_SETTLE: Final = "[settle]"
"""Likewise."""
_NOTHING: Final = Func((), None)


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
        gives_handles: Whether the result may contain handles of the component's own resources.
        settle: What is called after it, so that the host hears of what the component's keeper has put off;
            None: nothing.
    """

    func: Func
    index: int
    lower_params: LowerParams
    lift_result: Lift | None
    params_count: int
    lowers_handles: bool
    gives_handles: bool
    settle: ExportPlan | None = None


class Exports:
    """The exports of one component.

    Attributes:
        plans: By (interface, function).
    """

    def __init__(self, compiled: CompiledComponent, name: str) -> None:
        self.plans: dict[tuple[str, str], ExportPlan] = {}
        self._compiled = compiled
        self._name = name

    def close(self) -> None:
        """Frees the export indices."""
        for plan in self.plans.values():
            capi.component_export_index_delete(plan.index)
        self.plans.clear()

    def find(self, interface: str, function: str) -> Func:
        """The signature of a function.

        Args:
            interface: The export's name, version included; empty for a function of the world itself.
            function: Its WIT name.

        Raises:
            NotFound: There is none of exactly that name; the message has what there is.
            InvalidArgument: It cannot be called; the message has the reason.
        """
        reason = self._compiled.unsupported(interface, function)
        if reason is not None:
            raise InvalidArgument(f"{self._name} cannot be called at {interface or 'its world'} {reason}")
        exports = self._compiled.world.exports
        if interface not in exports:
            listed = ", ".join(name for name in exports if name) or "no interface"
            raise NotFound(
                f"{self._name} does not export {interface or 'functions of its world'}, but {listed}"
            )
        functions = exports[interface].functions
        if function not in functions:
            raise NotFound(
                f"{self._name} has no function {shown(function)} in {interface or 'its world'} "
                f"(it has {', '.join(functions) or 'none'})"
            )
        return functions[function]

    def prepare(self, component: Any, interface: str, function: str) -> ExportPlan:
        """Compiles an export of `component`, and keeps it."""
        plan = self.plans.get((interface, function))
        if plan is None:
            func = self.find(interface, function)
            carried, export, settle = func, (interface, function), None
            if twin := self._compiled.numbered("export", interface, function):
                carried, export = func_in_numbers(func), (WORLD_LEVEL, twin)
            else:
                settle = self._settle(component)
                if twin := self._compiled.twin("export", interface, function):
                    carried, export = func_in_bulk(func), (WORLD_LEVEL, twin)
            plan = self.plans[interface, function] = _plan(component, func, carried, export, settle)
        return plan

    def _settle(self, component: Any) -> ExportPlan | None:
        """Compiles what has the component's keeper tell what it has put off; None where it has none."""
        if not self._compiled.has_keeper:
            return None
        key = WORLD_LEVEL, _SETTLE
        if key not in self.plans:
            self.plans[key] = _plan(component, _NOTHING, _NOTHING, (WORLD_LEVEL, SETTLE_NAME))
        return self.plans[key]

    def prepare_drop(self, component: Any, interface: str, resource: str) -> ExportPlan | None:
        """Compiles what drops a handle of an exported resource, and keeps it; None where nothing does."""
        key = interface, f"{_DROP}{resource}"
        plan = self.plans.get(key)
        if plan is None:
            name = self._compiled.drop(interface, resource)
            if name is None:
                return None
            func = Func((Field("handle", ExportedHandle("own", resource, interface)),), None)
            settle = self._settle(component)
            plan = self.plans[key] = _plan(component, func, func, (WORLD_LEVEL, name), settle)
        return plan


def _plan(
    component: Any, func: Func, carried: Func, export: tuple[str, str], settle: ExportPlan | None = None
) -> ExportPlan:
    """Compiles a function; `carried` is its type as it crosses, `export` where it is (interface, name)."""
    return ExportPlan(
        func=func,
        index=_export_index(component, *export),
        lower_params=lower_params_of(carried.params),
        lift_result=lift_of(carried.result) if carried.result else None,
        params_count=len(func.params),
        lowers_handles=any(True for param in func.params for _ in handles_in(param.type)),
        gives_handles=any(isinstance(handle, ExportedHandle) for handle in handles_in(func.result)),
        settle=settle,
    )


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
