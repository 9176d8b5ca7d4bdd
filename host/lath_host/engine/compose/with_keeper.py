"""A component with a keeper beside it, in a component around both (see `compose.keeper`).

What the inner one imports of the host's own resources it gets from the keeper, the rest as before. An export
that takes such handles, as the handler of HTTP requests does, is not exported as it is, since nobody outside
can name them: a function of the world, in numbers, takes its place. After such a call nothing is left to be
told; after one of another export the host calls `SETTLE_NAME`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from wasmtime import wat2wasm

from lath.wit.types import Func, Handle, Interface, World
from lath_host.engine.compose.anatomy import Anatomy
from lath_host.engine.compose.binary import CoreSort, Malformed, Sort
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.compose.keeper import (
    TOLD,
    Keeper,
    crossing,
    given_label,
    instance_label,
    maker_label,
    no_resource,
)
from lath_host.engine.compose.keeper_code import Key, ResourceKey
from lath_host.engine.compose.merge import MergedImports
from lath_host.engine.compose.names import (
    NUMBERS,
    NUMBERS_TYPE_PREFIX,
    RESERVED,
    SETTLE_NAME,
    TOLD_NAME,
    numbered_name,
)
from lath_host.engine.compose.types import Types
from lath_host.engine.reflect import Reflected
from lath_host.engine.values import LocalHandle, handles_in
from lath_host.engine.values.numbered import func_in_numbers
from lath_host.engine.values.walk import types_of

Answered = Callable[[str, str, Func], bool]
"""(interface, or what it implements; function; signature) -> whether the host answers it itself."""

_HTTP: Final = "wasi:http/"
"""Components that have to do with it get a keeper: others call too little of WASI for it to matter."""


@dataclass(frozen=True, slots=True)
class KeeperPlan:
    """What a keeper is to do for a component.

    Attributes:
        imports: The functions that it carries, of all interfaces that it gives.
        interfaces: These, in order.
        exports: The exported functions that take handles.
    """

    imports: Mapping[Key, Func]
    interfaces: tuple[str, ...]
    exports: Mapping[Key, Func]


def keeper_plan(reflected: Reflected, answered: Answered) -> KeeperPlan | None:
    """What a keeper is to do for a component; None: it gets none.

    Args:
        reflected: What the component says about itself.
        answered: What the host answers itself.
    """
    world = reflected.world
    if reflected.refused_imports or _has_async(world):
        return None
    if not any(name.startswith(_HTTP) for name in [*_names(world.imports), *world.exports]):
        return None
    interfaces = _interfaces(reflected)
    imports = {
        (name, function): func
        for name in interfaces
        for function, func in world.imports[name].functions.items()
    }
    exports = {
        (name, function): func
        for name, interface in world.exports.items()
        for function, func in interface.functions.items()
        if any(isinstance(handle, LocalHandle) for handle in _handles(func))
    }
    carried = [(world.imports[name].name, function, func) for (name, function), func in imports.items()]
    if not interfaces or not all(answered(*each) for each in carried):
        return None
    if not all(isinstance(handle, LocalHandle) for func in imports.values() for handle in _handles(func)):
        return None
    return KeeperPlan(imports, interfaces, exports) if all(map(_is_given_only, exports.values())) else None


def with_keeper(source: bytes, plan: KeeperPlan) -> bytes:
    """The component around `source` and its keeper.

    Args:
        source: The bytes of a component.
        plan: What the keeper is to do for it.

    Raises:
        Malformed: The component is built in a way that this does not know; the message says which.
    """
    anatomy = Anatomy(source)
    names = [*anatomy.imports, *(export.name.text for export in anatomy.exports)]
    if any(name.startswith((NUMBERS, RESERVED)) for name in names):
        raise Malformed(f"a name begins with {NUMBERS} or {RESERVED}")
    return _WithKeeper(anatomy, plan).build(source)


def _names(interfaces: Mapping[str, Interface]) -> list[str]:
    return [interface.name for interface in interfaces.values()]


def _has_async(world: World) -> bool:
    both = [*world.imports.values(), *world.exports.values()]
    return any(func.is_async for interface in both for func in interface.functions.values())


def _handles(func: Func) -> list[Handle]:
    return [handle for type_ in types_of(func) for handle in handles_in(type_)]


def _interfaces(reflected: Reflected) -> tuple[str, ...]:
    """The imports that have to do with resources of the host's own, be it by using them."""
    imports = reflected.world.imports
    found = {
        name
        for name, interface in imports.items()
        for func in interface.functions.values()
        for handle in _handles(func)
        if isinstance(handle, LocalHandle)
        for name in (name, handle.interface)
    }
    found |= {user for (user, _), (definer, _) in reflected.aliased_resources.items() if definer in found}
    return tuple(name for name in imports if name in found)


def _is_given_only(func: Func) -> bool:
    """Whether it takes handles that are given to it, each as a parameter of its own, and nothing else."""
    return func.result is None and all(
        isinstance(param.type, LocalHandle) and param.type.mode == "own" for param in func.params
    )


class _WithKeeper:
    def __init__(self, anatomy: Anatomy, plan: KeeperPlan) -> None:
        self._anatomy = anatomy
        self._plan = plan
        self._builder = builder = ComponentBuilder()
        given = [(0, name) for name in plan.interfaces]
        self._merged = MergedImports(builder, [anatomy], given, lambda name: False)
        self._types = Types(builder, no_resource, NUMBERS_TYPE_PREFIX)
        handles = [handle for func in plan.exports.values() for handle in _handles(func)]
        self._made = list(dict.fromkeys((handle.interface, handle.resource) for handle in handles))

    def build(self, source: bytes) -> bytes:
        builder = self._builder
        given = {
            name: (declared.sort, self._merged.index(0, name))
            for name, declared in self._anatomy.imports.items()
            if name not in self._plan.interfaces
        }
        keeper = self._instantiate_keeper()
        for number, name in enumerate(self._plan.interfaces):
            given[name] = (Sort.INSTANCE, builder.alias(Sort.INSTANCE, keeper, instance_label(number)))
        inner = builder.instantiate(builder.component(source), given)
        # not what takes handles that nobody outside can name
        carried = {interface for interface, _ in self._plan.exports}
        exports = [each for each in self._anatomy.exports if each.name.text not in carried]
        self._merged.export_again(0, exports, inner)
        settle = builder.alias(Sort.FUNC, keeper, SETTLE_NAME)
        for label, func in self._carry_exports(keeper, inner, settle).items():
            builder.export(label, Sort.FUNC, func)
        builder.export(SETTLE_NAME, Sort.FUNC, settle)
        return builder.build()

    def _instantiate_keeper(self) -> int:
        builder, plan = self._builder, self._plan
        keeper = Keeper(self._anatomy, plan.interfaces, plan.imports, self._made)
        given = self._types.given(keeper.types.imported)
        for label, (interface, name) in keeper.outside.items():
            imported = self._merged.index(0, interface)
            given[label] = (Sort.TYPE, builder.alias(Sort.TYPE, imported, name))
        for number, (key, func) in enumerate(plan.imports.items()):
            type_ = self._types.func(crossing(func))
            given[given_label(number)] = (
                Sort.FUNC,
                builder.import_func(numbered_name("import", *key), type_),
            )
        given[TOLD_NAME] = (Sort.FUNC, builder.import_func(TOLD_NAME, self._types.func(TOLD)))
        return builder.instantiate(builder.component(keeper.builder.build()), given)

    def _carry_exports(self, keeper: int, inner: int, settle: int) -> dict[str, int]:
        """Lifts what makes handles of numbers and hands them to an export; the function by its name."""
        builder, lifted = self._builder, {}
        makers: dict[ResourceKey, int] = {
            key: builder.lower_scalar(builder.alias(Sort.FUNC, keeper, maker_label(number)))
            for number, key in enumerate(self._made)
        }
        settled = builder.lower_scalar(settle)
        for (interface, function), func in self._plan.exports.items():
            handles = _handles(func)
            called = builder.alias(Sort.FUNC, builder.alias(Sort.INSTANCE, inner, interface), function)
            given = {str(at): makers[each.interface, each.resource] for at, each in enumerate(handles)}
            given |= {"called": builder.lower_scalar(called), "settle": settled}
            module = builder.core_module(_handing_over(len(handles)))
            instance = builder.core_instantiate(module, {"keeper": builder.core_instance_of(given)})
            core = builder.core_alias(CoreSort.FUNC, instance, "call")
            type_ = self._types.func(func_in_numbers(func))
            lifted[numbered_name("export", interface, function)] = builder.lift_scalar(core, type_)
        return lifted


def _handing_over(handles: int) -> bytes:
    """A module whose `call` makes handles of its parameters, calls `called` with them, and then settles."""
    params = f"(param {' '.join(['i32'] * handles)})"
    makers = "".join(
        f'(import "keeper" "{at}" (func $make{at} (param i32) (result i32)))' for at in range(handles)
    )
    made = " ".join(f"(call $make{at} (local.get {at}))" for at in range(handles))
    return bytes(
        wat2wasm(
            f'(module {makers} (import "keeper" "called" (func $called {params})) '
            '(import "keeper" "settle" (func $settle)) '
            f'(func (export "call") {params} (call $called {made}) (call $settle)))'
        )
    )
