"""The keeper: a component that has the handles of the host's own resources, so that only numbers cross to it.

For wasmtime's C API a handle is a box that takes several calls to make, and to read. So the interfaces whose
resources are the host's (requests, bodies, streams, pollables) are given to the guest by a component beside
it, of which the resources are. Each function of theirs it calls under another name, with the number that the
host knows an object by in place of a handle, and with `list<u8>` in bulk. What the host need not answer, such
as handles that are dropped, it hears of with the next call that it does answer (`compose.deferrable`).

What it exports is an instance for each interface, equal in type to what the guest imports, and a function for
each resource that a host gives to the guest's exports, which makes a handle of a number; and one that has it
tell the host at the end of a call what it has put off.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from lath.wit.types import Field, Func, Handle, Primitive
from lath_host.engine.compose.abi import core_func
from lath_host.engine.compose.adapters import after_name
from lath_host.engine.compose.anatomy import Anatomy
from lath_host.engine.compose.binary import CoreSort, Malformed, Reader, Sort, leb, type_index
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.compose.keeper_code import (
    Key,
    ResourceKey,
    brings_log,
    keeper_memory,
    keeper_module,
    needed_of,
)
from lath_host.engine.compose.names import NUMBERS, NUMBERS_TYPE_PREFIX, SETTLE_NAME, TOLD_NAME
from lath_host.engine.compose.replay import DeclaredTypes
from lath_host.engine.compose.typedefs import Declared, TypeDeclared, TypeFromOutside, copied
from lath_host.engine.compose.types import Types
from lath_host.engine.values.numbered import LOG, func_in_numbers

_NUMBER: Final = Primitive("u32")
TOLD: Final = Func((Field("log", LOG),), None)
"""The type of `TOLD_NAME`."""
_OWN: Final = b"\x69"
_FUNC: Final = b"\x40"


def crossing(func: Func) -> Func:
    """The type with which a function crosses: in numbers, and with the log where there is room for it."""
    carried = func_in_numbers(func)
    return Func((*carried.params, Field("log", LOG)), carried.result) if brings_log(func) else carried


def given_label(number: int) -> str:
    """The name under which the keeper imports the function of that number, in numbers."""
    return f"{NUMBERS}given-f{number}"


def instance_label(number: int) -> str:
    """The name under which the keeper exports the interface of that number."""
    return f"{NUMBERS}instance-i{number}"


def maker_label(number: int) -> str:
    """The name under which the keeper exports what makes handles of the resource of that number."""
    return f"{NUMBERS}make-r{number}"


class Keeper:
    """The component in the making.

    Args:
        anatomy: The component that it is for.
        interfaces: Those that it gives to that one, by their names there, definers before users.
        funcs: Their functions.
        made: The resources of which the host gives handles to exports.

    Attributes:
        builder: The component.
        types: Those of the functions in numbers. It imports those that need a name.
        outside: Types of other interfaces that it imports: the interface and name, by label.

    Raises:
        Malformed: The component is built in a way that this does not know.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        interfaces: Sequence[str],
        funcs: Mapping[Key, Func],
        made: Sequence[ResourceKey],
    ) -> None:
        self.builder = builder = ComponentBuilder()
        self.types = Types(builder, no_resource, NUMBERS_TYPE_PREFIX)
        self._anatomy = anatomy
        self._interfaces = interfaces
        self._funcs = funcs
        self._indices: dict[ResourceKey, int] = {}
        self._numbers: dict[ResourceKey, int] = {}
        given = [
            builder.import_func(given_label(number), self.types.func(crossing(func)))
            for number, func in enumerate(funcs.values())
        ]
        told = builder.import_func(TOLD_NAME, self.types.func(TOLD))
        self._memory_instance = builder.core_instantiate(builder.core_module(keeper_memory()), {})
        self._memory = builder.core_alias(CoreSort.MEMORY, self._memory_instance, "memory")
        self._realloc = builder.core_alias(CoreSort.FUNC, self._memory_instance, "realloc")
        self._destroy = builder.core_alias(CoreSort.FUNC, self._memory_instance, "destroy")
        self.outside: dict[str, tuple[str, str]] = {}
        self._declared = DeclaredTypes(builder, anatomy, self._define_resource, self._name_type)
        for interface in interfaces:
            self._declared.of(interface)
        code = self._instantiate_code(given, told, made)
        self._export_makers(code, made)
        self._export(dict(zip(funcs, self._lift(code), strict=True)))

    def _define_resource(self, interface: str, resource: str) -> int:
        key = interface, resource
        if interface not in self._interfaces:
            raise Malformed(f"the resource {resource} of {interface} is not the host's own")
        self._numbers[key] = len(self._numbers)
        self._indices[key] = self.builder.resource(self._destroy)
        return self._indices[key]

    def _name_type(self, interface: str, name: str, index: int) -> int:
        """Types of the interfaces that it gives get their names where those are put together."""
        if interface in self._interfaces:
            return index
        label = f"{NUMBERS}outside-t{len(self.outside)}"
        self.outside[label] = interface, name
        return self.builder.import_type(label, index)

    def _instantiate_code(self, given: Sequence[int], told: int, made: Sequence[ResourceKey]) -> int:
        builder = self.builder
        lowered = {
            str(number): builder.lower(func, self._memory, self._realloc) for number, func in enumerate(given)
        }
        new, taken = needed_of(self._funcs, made)
        lowered["told"] = builder.lower(told, self._memory, self._realloc)
        args = {
            "memory": self._memory_instance,
            "lowered": builder.core_instance_of(lowered),
            "new": self._of_resources(new, builder.new_of),
            "rep": self._of_resources(taken, builder.rep_of),
            "drop": self._of_resources(taken, builder.drop_of),
        }
        module = builder.core_module(keeper_module(self._funcs, self._numbers, made))
        return builder.core_instantiate(module, args)

    def _lift(self, code: int) -> list[int]:
        """Lifts the functions with the handles that the guest has for them."""
        builder = self.builder
        after = {
            results: builder.core_alias(CoreSort.FUNC, code, after_name(results))
            for results in dict.fromkeys(core_func(func).results for func in self._funcs.values())
        }
        lifted = []
        for number, (key, func) in enumerate(self._funcs.items()):
            core = builder.core_alias(CoreSort.FUNC, code, str(number))
            post_return = after[core_func(func).results]
            lifted.append(builder.lift(core, self._type_of(key), self._memory, self._realloc, post_return))
        return lifted

    def _of_resources(self, keys: Collection[ResourceKey], builtin: Callable[[int], int]) -> int:
        """A core instance of a builtin for each of these resources, by its number."""
        return self.builder.core_instance_of(
            {str(number): builtin(self._indices[key]) for key, number in self._numbers.items() if key in keys}
        )

    def _type_of(self, key: Key) -> int:
        interface, function = key
        for each in self._anatomy.interface(interface):
            if isinstance(each, Declared) and each.sort is Sort.FUNC and each.name.text == function:
                assert each.index is not None
                return self._declared.of(interface)[each.index]
        raise Malformed(f"the function {function} of {interface} is not declared")

    # -- what it exports -------------------------------------------------------------------------------------

    def _export_makers(self, code: int, made: Sequence[ResourceKey]) -> None:
        builder = self.builder
        for number, key in enumerate(made):
            if key not in self._indices:
                raise Malformed(f"the resource {key[1]} of {key[0]} is not the host's own")
            named = builder.export(f"{NUMBERS}resource-r{number}", Sort.TYPE, self._indices[key])
            inner, outer = (self._maker_type(index) for index in (self._indices[key], named))
            core = builder.core_alias(CoreSort.FUNC, code, f"make-{number}")
            builder.export(maker_label(number), Sort.FUNC, builder.lift_scalar(core, inner), outer)
        settle = builder.core_alias(CoreSort.FUNC, code, "settle")
        builder.export(SETTLE_NAME, Sort.FUNC, builder.lift_scalar(settle, self.types.func(Func((), None))))

    def _maker_type(self, resource: int) -> int:
        """The type of what makes a handle of a number."""
        own = self.builder.type(_OWN + leb(resource))
        return self.builder.type(
            _FUNC + b"\x01" + b"\x06number" + self.types.value(_NUMBER) + b"\0" + type_index(own)
        )

    def _export(self, lifted: Mapping[Key, int]) -> None:
        builder, exported = self.builder, dict[str, int]()
        for number, interface in enumerate(self._interfaces):
            shim = _Shim(self._anatomy, interface, lifted)
            given = {label: (Sort.FUNC, lifted[key]) for label, key in shim.funcs.items()}
            for label, (definer, name) in shim.types.items():
                if definer in exported:  # by the name that it has been exported under
                    index = builder.alias(Sort.TYPE, exported[definer], name)
                else:
                    index = self._declared.exported(definer, name)
                given[label] = (Sort.TYPE, index)
            instance = builder.instantiate(builder.component(shim.builder.build()), given)
            exported[interface] = builder.export(instance_label(number), Sort.INSTANCE, instance)


class _Shim:
    """The component whose exports are those that an interface declares.

    What an instance is put together of otherwise may have no methods. It imports all that it exports.

    Attributes:
        types: What it imports: the interface and name of a type, by label.
        funcs: Likewise, functions.
    """

    def __init__(self, anatomy: Anatomy, interface: str, lifted: Mapping[Key, int]) -> None:
        self.builder = builder = ComponentBuilder()
        self.types: dict[str, tuple[str, str]] = {}
        self.funcs: dict[str, Key] = {}
        self._declared = DeclaredTypes(builder, anatomy, self._import_resource, self._import_type)
        given = self._declared.of(interface)
        functions = [
            each
            for each in anatomy.interface(interface)
            if isinstance(each, Declared) and each.sort is Sort.FUNC
        ]
        imported = {}
        for each in functions:
            key = interface, each.name.text
            if key not in lifted:
                raise Malformed(f"nothing answers {each.name.text} of {interface}")
            label = f"{NUMBERS}f{len(self.funcs)}"
            self.funcs[label] = key
            assert each.index is not None
            imported[each.name.text] = builder.import_func(label, given[each.index])
        self._export(anatomy, interface, imported)

    def _import_resource(self, interface: str, name: str) -> int:
        return self.builder.import_resource(self._label(interface, name))

    def _import_type(self, interface: str, name: str, index: int) -> int:
        return self.builder.import_type(self._label(interface, name), index)

    def _label(self, interface: str, name: str) -> str:
        label = f"{NUMBERS}t{len(self.types)}"
        self.types[label] = interface, name
        return label

    def _export(self, anatomy: Anatomy, interface: str, imported: Mapping[str, int]) -> None:
        """Exports all in the interface's order, in the names that the types have from their export on."""
        builder, declared, local = self.builder, self._declared, list[int]()

        def resolve(depth: int, index: int) -> int:
            return declared.outside(index) if depth else local[index]

        for each in anatomy.interface(interface):
            match each:
                case TypeDeclared(data=data):
                    local.append(builder.type(copied(Reader(data), resolve)))
                case TypeFromOutside(index=index):
                    local.append(declared.outside(index))
                case Declared(sort=Sort.TYPE, name=name, index=defined):
                    index = declared.exported(interface, name.text) if defined is None else local[defined]
                    local.append(builder.export(name, Sort.TYPE, index))
                case Declared(name=name, index=int(bound)):
                    builder.export(name, Sort.FUNC, imported[name.text], local[bound])


def no_resource(handle: Handle) -> int:
    """For `Types` of functions in numbers, which name none. Raises `Malformed`."""
    raise Malformed(f"a handle of {handle.resource}, which is not the host's own, crosses beside numbers")
