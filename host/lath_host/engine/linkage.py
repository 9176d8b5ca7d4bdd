"""What one component's guests are linked to: a linker whose imports are Python (`callbacks`)."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lath.errors import Internal, InvalidArgument
from lath.names import DEFAULT_LINK
from lath.wit.types import Func, Interface
from lath_host.engine import capi
from lath_host.engine.callbacks import Callbacks
from lath_host.engine.compose.bridge import func_in_bulk
from lath_host.engine.compose.deferrable import made_always, made_first
from lath_host.engine.compose.keeper import crossing
from lath_host.engine.compose.names import TOLD_NAME
from lath_host.engine.import_plans import ImportPlan
from lath_host.engine.values import func_in_numbers, handles_in, types_of
from lath_host.engine.wasi import (
    NATIVE_VERSION,
    Answer,
    is_later_wasi,
    is_ours,
    native_interface,
)  # fmt: skip
from lath_host.engine.wasi.answers import answer_beside, answer_for, forward_for
from lath_host.engine.wasi.output import Log, OnLoop

if TYPE_CHECKING:
    from lath_host.engine.engine import CompiledComponent
    from lath_host.engine.guest import Guest


class CallContext:
    """What travels with one call of a guest: the engine hands it to every import made meanwhile, unread."""

    __slots__ = ()


@dataclass(frozen=True)
class Import:
    """A function that a component imports and that is answered from Python.

    Attributes:
        name: The import as it stands in the component.
        interface: The interface; its `name` is what a label implements, where there is one.
        function: The function's WIT name.
        func: Its signature.
        link_name: Which link answers: the label, or "default".
    """

    name: str
    interface: Interface
    function: str
    func: Func
    link_name: str


ImportHandler = Callable[[Import, CallContext, list[Any]], Awaitable[Any]]
"""Answers an import: (import, the call's context, wire values) -> wire value; raises `LathError`."""


_ASYNC: Final = (
    "it is an async function, which takes a bridge, and none can be built around this component: import it "
    "as a plain `func`, which may wait as well"
)
LASTING_SECONDS_MAX: Final = 5.0
"""How long the end of a component waits for what its guests began: to close what others sent them."""


class _ResourceIds(dict[tuple[str, str], int]):
    """The numbers under which wasmtime knows resources, by (interface, name), whatever its version is."""

    def add(self, key: tuple[str, str]) -> int:
        number = self[key] = len(set(self.values())) + 1
        return number

    def __missing__(self, asked: tuple[str, str]) -> int:
        key = _resource_key(*asked)
        if key == asked or key not in self:
            raise Internal(f"resource {asked[1]} of {asked[0]} is not one of a provider")
        number = self[asked] = self[key]  # the next time it need not be thought about
        return number


class Linkage:
    """A linker for one component, and everything that has to live as long as its guests.

    Args:
        engine: Address of the wasm engine.
        compiled: The component.
        log: Gets what guests print; None: nobody does.

    Raises:
        InvalidArgument: The component has an import that cannot be carried.
    """

    def __init__(self, engine: int, compiled: CompiledComponent, log: Log | None) -> None:
        self.guests: dict[int, Guest] = {}
        """By the address of the store's context, which is all that a callback is told."""
        self.log = OnLoop(log) if log else None
        self.has_wasi = False
        """Whether its guests can reach native WASI, and so need a context for it in their stores."""
        self.resource_ids = _ResourceIds()
        self._kept: list[Any] = []
        self._empty = asyncio.Event()
        self._lasting: set[asyncio.Task[None]] = set()
        self._callbacks = Callbacks(self.guests)
        self._check(compiled)
        self.linker: int = capi.linker_new(engine)
        capi.linker_allow_shadowing(self.linker, True)
        try:
            capi.check(capi.linker_add_wasip2_async(self.linker))
            self._define(compiled.world.imports)
            self._define_twins(compiled)
        except capi.WasmtimeFailure as failure:
            self.close()
            raise InvalidArgument(f"the imports cannot be linked: {failure.message}") from None

    def close(self) -> None:
        """Frees the linker. No guest may be left."""
        if self.linker:
            capi.linker_delete(self.linker)
            self.linker = 0

    def gone(self, context: int) -> None:
        """A guest's store has been deleted."""
        self.guests.pop(context, None)
        if not self.guests:
            self._empty.set()

    def own(self, task: asyncio.Task[None]) -> None:
        """Keeps a task of a guest that may end after it."""
        self._lasting.add(task)
        task.add_done_callback(self._lasting.discard)

    async def emptied(self) -> None:
        """Returns once no guest is left (a thread may still be polling one), and nothing that they began."""
        if self.guests:
            self._empty.clear()
            await self._empty.wait()
        if self._lasting:
            _, late = await asyncio.wait(self._lasting, timeout=LASTING_SECONDS_MAX)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # -- linking -------------------------------------------------------------------------------------------

    def _check(self, compiled: CompiledComponent) -> None:
        for (owner, function), reason in compiled.refused_imports.items():
            raise InvalidArgument(f"import {owner or 'world'} {function} cannot be linked: {reason}")
        for (owner, function), reason in compiled.uncrossable_exports.items():
            raise InvalidArgument(f"export {owner or 'world'} {function} cannot be called: {reason}")
        for name, interface in compiled.world.imports.items():
            if native_interface(interface.name):
                continue
            if is_later_wasi(interface.name) and interface.functions:
                raise InvalidArgument(
                    f"import {name} cannot be linked: this host has WASI 0.2; build for {NATIVE_VERSION}"
                )
            for function, func in interface.functions.items():
                if func.is_async:
                    raise InvalidArgument(f"import {name or 'world'} {function} cannot be linked: {_ASYNC}")
                forward = forward_for(interface.name, function)
                for handle in (handle for type_ in types_of(func) for handle in handles_in(type_)):
                    if forward is None and native_interface(handle.interface):
                        raise InvalidArgument(
                            f"import {name} {function} cannot be linked: it uses {handle.resource} of "
                            f"{handle.interface}, which does not leave the guest"
                        )

    def _define(self, imports: Mapping[str, Interface]) -> None:
        root = capi.linker_root(self.linker)
        try:
            for name, interface in imports.items():
                native = native_interface(interface.name)
                if native is not None:
                    self._define_native(root, native, interface)
                elif name:
                    self._define_linked(root, name, interface)
                else:
                    for function, func in interface.functions.items():
                        self._define_func(root, _plan(name, interface, function, func))
        finally:
            capi.linker_instance_delete(root)

    def _define_native(self, root: int, native: str, interface: Interface) -> None:
        instance = self._instance(root, native)
        try:
            for resource in interface.resources if is_ours(native) else ():
                if _resource_key(native, resource) not in self.resource_ids:  # under another version already
                    self._define_resource(instance, native, resource)
            for function, func in interface.functions.items():
                own = answer_for(native, function, func)
                if own is not None:
                    self._define_func(instance, _plan(native, interface, function, func, own=own))
                else:
                    self.has_wasi = True
        finally:
            capi.linker_instance_delete(instance)

    def _define_linked(self, root: int, name: str, interface: Interface) -> None:
        instance = self._instance(root, name)
        try:
            for resource in interface.resources:
                self._define_resource(instance, name, resource)
            for function, func in interface.functions.items():
                self._define_func(instance, _plan(name, interface, function, func))
        finally:
            capi.linker_instance_delete(instance)

    def _define_twins(self, compiled: CompiledComponent) -> None:
        """What a bridge or a keeper imports in place of a function: the same, in bulk or in numbers."""
        root = capi.linker_root(self.linker)
        try:
            for name, interface in compiled.world.imports.items():
                for function, func in interface.functions.items():
                    if twin := compiled.numbered("import", name, function):
                        self._define_numbered(root, twin, name, interface, function, func)
                        continue
                    if twin := compiled.twin("import", name, function):
                        carried = func_in_bulk(func)
                    else:
                        continue
                    native = native_interface(interface.name)
                    own = answer_for(native, function, func) if native else None
                    plan = _plan(name, interface, function, func, own=own, carried=carried)
                    self._define_func(root, plan, twin)
            if compiled.has_keeper:
                self._define_callback(root, TOLD_NAME, self._callbacks.telling())
        finally:
            capi.linker_instance_delete(root)

    def _define_numbered(
        self, root: int, twin: str, name: str, interface: Interface, function: str, func: Func
    ) -> None:
        """What a keeper imports in place of a function, which the host answers itself."""
        native = native_interface(interface.name)
        own = answer_for(native, function, func) if native else None
        if own is None:
            raise InvalidArgument(f"import {name} {function} cannot be linked: the host does not answer it")
        plan = _plan(name, interface, function, func, own=own, carried=func_in_numbers(func))
        if own.at_once and (
            made_always(interface.name, function, func) or made_first(interface.name, function, func)
        ):
            self._callbacks.put_off(interface.name, function, func, own.at_once)
        brings_log = len(crossing(func).params) > len(func.params)
        self._define_callback(root, twin, self._callbacks.numbered(plan, own, brings_log))

    def _instance(self, root: int, name: str) -> int:
        slot, data = capi.Slot(), name.encode()
        capi.check(capi.linker_instance_add_instance(root, data, len(data), ctypes.addressof(slot)))
        return slot.value or 0

    def _define_resource(self, instance: int, interface: str, name: str) -> None:
        number = self.resource_ids.add(_resource_key(interface, name))
        type_, data = capi.resource_type_new_host(number), name.encode()
        try:
            destructor = capi.address(self._callbacks.destructor)
            capi.check(
                capi.linker_instance_add_resource(instance, data, len(data), type_, destructor, None, None)
            )
        finally:
            capi.resource_type_delete(type_)

    def _define_func(self, instance: int, plan: ImportPlan, name: str = "") -> None:
        self._define_callback(instance, name or plan.import_.function, self._callbacks.answering(plan))

    def _define_callback(self, instance: int, name: str, answer: Callable[..., None]) -> None:
        callback = capi.ImportCallback(answer)
        self._kept.append(callback)
        data = name.encode()
        capi.check(
            capi.linker_instance_add_func_async(instance, data, len(data), capi.address(callback), None, None)
        )


def _resource_key(interface: str, name: str) -> tuple[str, str]:
    """Native interfaces are one under all their versions."""
    return native_interface(interface) or interface, name


def _plan(
    name: str,
    interface: Interface,
    function: str,
    func: Func,
    *,
    own: Answer | None = None,
    carried: Func | None = None,
) -> ImportPlan:
    """`carried` is the import's type as it crosses, where that is another than `func`."""
    import_ = Import(name, interface, function, func, interface.label or DEFAULT_LINK)
    own = own or answer_beside(interface.name, function)
    return ImportPlan(import_, carried or func, own, forward_for(interface.name, function))
