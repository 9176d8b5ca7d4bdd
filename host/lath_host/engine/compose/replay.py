"""The types that a component's imports declare, defined anew in a component in the making."""

from __future__ import annotations

from collections.abc import Callable

from lath_host.engine.compose.anatomy import Anatomy, DefinedType, TypeOfInstance
from lath_host.engine.compose.binary import Malformed, Reader, Sort
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.compose.typedefs import Declared, TypeDeclared, TypeFromOutside, copied

ResourceNamed = Callable[[str, str], int]
"""(interface, resource) -> its type's index in the component in the making."""
Naming = Callable[[str, str, int], int]
"""(interface, type, its index) -> the index under which the interface has it from here on."""


class DeclaredTypes:
    """Defines the types of interfaces as they are asked for.

    Args:
        builder: Where they are defined.
        anatomy: The component that imports the interfaces.
        resource: Gives the resources.
        naming: Gives a name to each type that an interface exports, where one is needed.
    """

    def __init__(
        self, builder: ComponentBuilder, anatomy: Anatomy, resource: ResourceNamed, naming: Naming
    ) -> None:
        self._builder = builder
        self._anatomy = anatomy
        self._resource = resource
        self._naming = naming
        self._declared: dict[str, list[int]] = {}
        self._exported: dict[tuple[str, str], int] = {}
        self._resources: set[int] = set()
        self._of_root: dict[int, int] = {}

    def of(self, interface: str) -> list[int]:
        """The types of an interface, in the order in which it declares them.

        Raises:
            Malformed: It declares something that this does not know.
        """
        if interface not in self._declared:
            self._declared[interface] = []
            self._define(interface, self._declared[interface])
        return self._declared[interface]

    def exported(self, interface: str, name: str) -> int:
        """A type that an interface exports. Raises what `of` does."""
        self.of(interface)
        if (interface, name) not in self._exported:
            raise Malformed(f"the type {name} of {interface} is not known")
        return self._exported[interface, name]

    def outside(self, index: int) -> int:
        """A type at the root of the component that imports them. Raises what `of` does."""
        if index not in self._of_root:
            self._of_root[index] = self._outside(index)
        return self._of_root[index]

    def is_resource(self, index: int) -> bool:
        """Whether one of these types is a resource."""
        return index in self._resources

    def _define(self, interface: str, local: list[int]) -> None:
        def resolve(depth: int, index: int) -> int:
            return self.outside(index) if depth else _at(local, index)

        for each in self._anatomy.interface(interface):
            match each:
                case TypeDeclared(data=data):
                    local.append(self._builder.type(copied(Reader(data), resolve)))
                case TypeFromOutside(index=index):
                    local.append(self.outside(index))
                case Declared(sort=Sort.TYPE, name=name, index=bound):
                    local.append(
                        self._export(interface, name.text, None if bound is None else _at(local, bound))
                    )

    def _export(self, interface: str, name: str, index: int | None) -> int:
        if index is None:
            index = self._resource(interface, name)
            self._resources.add(index)
        elif index not in self._resources:
            index = self._naming(interface, name, index)
        self._exported[interface, name] = index
        return index

    def _outside(self, index: int) -> int:
        def resolve(depth: int, referred: int) -> int:
            if depth or referred >= index:
                raise Malformed(f"type {index} refers to {referred}, which is not before it")
            return self.outside(referred)

        types = self._anatomy.types
        match types[index] if index < len(types) else None:
            case TypeOfInstance(instance=instance, name=name):
                imported = self._anatomy.instance(instance)
                if isinstance(imported, str):
                    return self.exported(imported, name)
            case DefinedType(data=data):
                return self._builder.type(copied(Reader(data), resolve))
        raise Malformed(f"type {index} is of the component's own making")


def _at(types: list[int], index: int) -> int:
    if index >= len(types):
        raise Malformed(f"a type refers to {index}, which is not before it")
    return types[index]
