"""The components nested in a bridge, which stand between the inner component and its imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from lath.wit.types import Func, Handle, Interface, Type
from lath_host.engine.compose.binary import Malformed, Sort
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.compose.carry import Crossing, carry
from lath_host.engine.compose.names import RESERVED, TYPE_PREFIX
from lath_host.engine.compose.prefix import Prefix
from lath_host.engine.compose.types import Types

_RESOURCE: Final = f"{RESERVED}resource-r"


def func_label(number: int) -> str:
    """The name under which a nested component imports the function of that number."""
    return f"{RESERVED}given-f{number}"


def carried_label(number: int) -> str:
    """The name under which a carrier exports the function of that number."""
    return f"{RESERVED}carried-f{number}"


class Carrier:
    """The component that lifts imported twins with the types of the functions that they stand for.

    Args:
        funcs: For each function its own type, and its twin's.

    Attributes:
        builder: The component.
        types: Its types, of which it imports those that need a name.
        resources: The resources that it imports, by name.
    """

    def __init__(self, funcs: Sequence[tuple[Func, Func]]) -> None:
        self.builder = ComponentBuilder()
        self.types = Types(self.builder, self._resource, TYPE_PREFIX)
        self.resources: dict[str, Handle] = {}
        self._indices: dict[tuple[str, str], int] = {}
        crossings = []
        for number, (func, twin) in enumerate(funcs):
            given = self.builder.import_func(func_label(number), self.types.func(twin))
            crossings.append(Crossing(given, func))
        for number, lifted in enumerate(carry(self.builder, self.types, crossings)):
            self.builder.export(carried_label(number), Sort.FUNC, lifted)

    def _resource(self, handle: Handle) -> int:
        key = handle.interface, handle.resource
        if key not in self._indices:
            label = f"{_RESOURCE}{len(self._indices)}"
            self.resources[label] = handle
            self._indices[key] = self.builder.import_resource(label)
        return self._indices[key]


class Shim:
    """The component whose exports are those of an imported instance, but for some functions.

    Putting an instance together of single definitions would do, were it not that names of methods are refused
    there. It begins as the inner component does, so that the instance's types can be had from the instance.

    Args:
        prefix: How the inner component begins.
        name: The imported instance.
        interface: Its functions.
        items: All that it exports, and whether that is a function.
        carried: The functions that are replaced, which the shim imports.
    """

    def __init__(
        self,
        prefix: Prefix,
        name: str,
        interface: Interface,
        items: Mapping[str, bool],
        carried: Sequence[str],
    ) -> None:
        self.builder = ComponentBuilder(prefix)
        self._prefix = prefix
        self._resources: dict[tuple[str, str], int] = {}
        self._given = Types(self.builder, self._resource, f"{TYPE_PREFIX}-given")
        self._named = Types(self.builder, self._resource, f"{TYPE_PREFIX}-named")
        _, instance = prefix.imports[name]
        replaced = {
            function: self.builder.import_func(
                func_label(number), self._given.func(interface.functions[function])
            )
            for number, function in enumerate(carried)
        }
        types = [item for item, is_function in items.items() if not is_function]
        exported = {
            item: self.builder.export(item, Sort.TYPE, self.builder.alias(Sort.TYPE, instance, item))
            for item in types
        }
        # a method's type has to name its resource as it is exported here
        self._resources = {(name, resource): exported[resource] for resource in interface.resources}
        for item in items:
            if item in exported:
                continue
            index = replaced.get(item)
            if index is None:
                index = self.builder.alias(Sort.FUNC, instance, item)
            func = interface.functions.get(item)
            type_ = self._named.func(func) if func and item.startswith("[") else None
            self.builder.export(item, Sort.FUNC, index, type_)

    @property
    def imported_types(self) -> dict[str, Type]:
        """The types that it imports, by name."""
        return self._given.imported | self._named.imported

    def _resource(self, handle: Handle) -> int:
        return imported_resource(self.builder, self._prefix, self._resources, handle)


def imported_resource(
    builder: ComponentBuilder, prefix: Prefix, known: dict[tuple[str, str], int], handle: Handle
) -> int:
    """The type index of a resource that an instance of `prefix` exports; kept in `known`.

    Raises:
        Malformed: It is a resource of something else.
    """
    key = handle.interface, handle.resource
    if key not in known:
        if handle.interface not in prefix.imports:
            raise Malformed(f"the resource {handle.resource} is not imported")
        _, instance = prefix.imports[handle.interface]
        known[key] = builder.alias(Sort.TYPE, instance, handle.resource)
    return known[key]
