"""Which imports the types and exports of a component lead to, and whose resources they mention."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lath_host.engine.compose.anatomy import (
    Anatomy,
    DefinedType,
    ExportedType,
    ImportedType,
    MadeInstance,
    TypeOfInstance,
)  # fmt: skip
from lath_host.engine.compose.binary import Sort
from lath_host.engine.compose.typedefs import (
    Declarator,
    Declared,
    TypeDeclared,
    TypeFromOutside,
    referred,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reach:
    """What some types lead to.

    Attributes:
        imports: The imports of which types are used.
        resources: Those whose resources are mentioned, be it within other types.
    """

    imports: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)


def reach_of_types(anatomy: Anatomy, types: Iterable[int]) -> Reach:
    """What types lead to, and all that they consist of.

    Args:
        anatomy: The component.
        types: Their indices.

    Raises:
        Malformed: A type is said to be of an import that is none.
    """
    reach, seen, left = Reach(), set[int](), list(types)
    while left:
        index = left.pop()
        if index in seen or index >= len(anatomy.types):
            continue
        seen.add(index)
        match anatomy.types[index]:
            case DefinedType(data=data):
                left += referred(data)[0]
            case ExportedType(index=index):
                left.append(index)
            case ImportedType(name=name):
                reach.imports.add(name)
                bound = anatomy.imports[name].index
                left += [] if bound is None else [bound]
            case TypeOfInstance(instance=instance, name=name):
                imported = anatomy.instance(instance)
                if isinstance(imported, str):
                    reach.imports.add(imported)
                    has_resource, outside = _reach_within(anatomy.interface(imported), name)
                    left += outside
                    reach.resources.update([imported] if has_resource else [])
    return reach


def reach_of_import(anatomy: Anatomy, name: str) -> Reach:
    """What the functions of an import may mention that is of other imports."""
    declared = anatomy.imports[name]
    if declared.sort is not Sort.INSTANCE:
        return reach_of_types(anatomy, [] if declared.index is None else [declared.index])
    outside = [each.index for each in anatomy.interface(name) if isinstance(each, TypeFromOutside)]
    return reach_of_types(anatomy, outside)


def reach_of_instance(anatomy: Anatomy, index: int) -> Reach:
    """What an instance may mention: all that it was made with."""
    types: list[int] = []
    imports: set[str] = set()
    seen, left = set[int](), [index]
    while left:
        index = left.pop()
        instance = anatomy.instance(index)
        if index in seen or instance is None:
            continue
        seen.add(index)
        if isinstance(instance, MadeInstance):
            types += instance.types
            left += instance.instances
        else:
            imports.add(instance)
    reach = reach_of_types(anatomy, types)
    for name in imports:
        reach.imports.add(name)
        has_resource, outside = _reach_within(anatomy.interface(name))
        reach.resources.update([name] if has_resource else [])
        further = reach_of_types(anatomy, outside)
        reach.imports.update(further.imports)
        reach.resources.update(further.resources)
    return reach


def _reach_within(declared: Sequence[Declarator], name: str | None = None) -> tuple[bool, list[int]]:
    """Of a type that an interface exports, or of all: whether it mentions a resource, and types around it."""
    types: list[TypeDeclared | TypeFromOutside | Declared] = []
    left: list[int] = []
    for each in declared:
        if not isinstance(each, Declared) or each.sort is Sort.TYPE:
            if name is None or (isinstance(each, Declared) and each.name.text == name):
                left.append(len(types))
            types.append(each)
    has_resource, outside, seen = False, list[int](), set[int]()
    while left:
        index = left.pop()
        if index in seen or index >= len(types):
            continue
        seen.add(index)
        match types[index]:
            case TypeDeclared(data=data):
                within, around = referred(data)
                left += within
                outside += around
            case TypeFromOutside(index=index):
                outside.append(index)
            case Declared(index=None):
                has_resource = True
            case Declared(index=int(bound)):
                left.append(bound)
    return has_resource, outside
