"""The imports of several components, declared once by one component that is around them all.

Interfaces that wasmtime itself answers are shared: what each component declares of one of them is put
together. All other imports stay apart, those of the first component under their own names, the others under
labels that say what they implement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from lath.errors import InvalidArgument
from lath.names import InterfaceName, versions_compatible
from lath_host.engine.compose.anatomy import (
    Anatomy,
    DefinedType,
    ImportedType,
    RootExport,
    TypeOfInstance,
)  # fmt: skip
from lath_host.engine.compose.binary import ExternName, Malformed, Reader, Sort, plain_name
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.compose.interfaces import InterfaceType, only_types
from lath_host.engine.compose.reach import reach_of_types
from lath_host.engine.compose.typedefs import (
    Declared,
    copied,
    written_declared,
)  # fmt: skip

LABEL_PREFIX: Final = "lath-fused"
_DEPTH_MAX: Final = 40
"""How long a chain of types that refer to each other may be: each takes some frames of Python's stack."""

Source = tuple[int, str]
"""(which component, the name of its import)"""


class MergedImports:
    """Adds imports to a component in the making, and the types that they need, as they are asked for.

    Args:
        builder: The component around all.
        parts: Those within. The first one's imports keep their names.
        joined: Imports that another part answers: of those only types are declared, where others need them.
            No other import may mention their resources.
        native: Whether wasmtime answers an interface.

    Attributes:
        sources: By the name of each interface or function that is imported and not native: whose it is.
    """

    def __init__(
        self,
        builder: ComponentBuilder,
        parts: Sequence[Anatomy],
        joined: Collection[Source],
        native: Callable[[str], bool],
    ) -> None:
        self.sources: dict[str, Source] = {}
        self._builder = builder
        self._parts = parts
        self._joined = joined
        self._native = native
        self._taken = set(parts[0].imports)
        self._shared = _shared(parts, joined, native)
        self._imported: dict[Source, int] = {}
        self._types: dict[tuple[int, int], int] = {}
        self._aliases: dict[tuple[int, str], int] = {}
        self._under_way: set[Source] = set()
        self._depth = 0

    def index(self, part: int, name: str) -> int:
        """The index of an import in the component around, by its sort.

        Raises:
            Malformed: It cannot be declared there; the message names the import and says why.
        """
        source = part, name
        if source not in self._imported:
            with _said_of(name):
                self._import(source)
        return self._imported[source]

    def type(self, part: int, index: int) -> int:
        """The index of a part's type in the component around.

        Raises:
            Malformed: It is the part's own, or of an import that cannot be declared.
        """
        if (part, index) not in self._types:
            if self._depth >= _DEPTH_MAX:
                raise Malformed("types refer to each other too often")
            self._depth += 1
            self._types[part, index] = self._type(part, index)
            self._depth -= 1
        return self._types[part, index]

    def export_again(self, part: int, exports: Iterable[RootExport], instance: int) -> None:
        """Has the component around export what a part exports; functions in types that are named there too.

        Args:
            part: Which.
            exports: Those of its exports, in order.
            instance: The part, instantiated.

        Raises:
            Malformed: One is a component or a core module, or of a type that cannot be declared.
        """
        for export in exports:
            if export.sort not in (Sort.INSTANCE, Sort.FUNC, Sort.TYPE):
                raise Malformed(f"the export {export.name.text} is a component or a core module")
            type_ = None
            if export.sort is Sort.FUNC and export.type_ is not None:
                type_ = self.type(part, export.type_)
            index = self._builder.alias(export.sort, instance, export.name.text)
            exported = self._builder.export(export.name, export.sort, index, type_)
            if export.sort is Sort.TYPE and export.type_ is not None:
                self._types[part, export.type_] = exported  # for what is exported behind it

    # -- types -----------------------------------------------------------------------------------------------

    def _type(self, part: int, index: int) -> int:
        anatomy = self._parts[part]
        if index >= len(anatomy.types):
            raise Malformed(f"there is no type {index}")

        def resolve(depth: int, referred: int) -> int:
            if depth or referred >= index:
                raise Malformed(f"type {index} refers to {referred}, which is not before it")
            return self.type(part, referred)

        match anatomy.types[index]:
            case DefinedType(data=data):
                return self._builder.type(copied(Reader(data), resolve))
            case ImportedType(name=name):
                return self.index(part, name)
            case TypeOfInstance(instance=instance, name=name):
                imported = anatomy.instance(instance)
                if not isinstance(imported, str):
                    raise Malformed(f"the type {name} is of an instance of its own")
                return self._alias(self.index(part, imported), name)
        raise Malformed("a type is of its own making")

    def _alias(self, instance: int, name: str) -> int:
        if (instance, name) not in self._aliases:
            self._aliases[instance, name] = self._builder.alias(Sort.TYPE, instance, name)
        return self._aliases[instance, name]

    # -- imports ---------------------------------------------------------------------------------------------

    def _import(self, source: Source) -> None:
        if source in self._under_way:
            raise Malformed("it needs types of itself")
        declared = self._declared(source)
        name, sources = self._shared.get(source) or (self._name(source, declared), [source])
        self._under_way.update(sources)
        if declared.sort is Sort.INSTANCE:
            type_: int | None = self._interface(sources)
        elif declared.sort in (Sort.FUNC, Sort.TYPE):
            type_ = None if declared.index is None else self.type(source[0], declared.index)
        else:
            raise Malformed("it is a component or a core module")
        index = self._builder.import_written(written_declared(declared, type_, name), declared.sort)
        self._imported |= dict.fromkeys(sources, index)

    def _declared(self, source: Source) -> Declared:
        part, name = source
        return self._parts[part].imports[name]

    def _name(self, source: Source, declared: Declared) -> ExternName:
        """What an import that is not shared is called in the component around."""
        part, text = source
        name = declared.name
        if part > 0:
            number = 1
            while (label := f"{LABEL_PREFIX}-{part}-{number}") in self._taken:
                number += 1
            self._taken.add(label)
            is_interface = declared.sort is Sort.INSTANCE and ":" in text
            name = plain_name(label, text if is_interface else declared.name.implements)
        if declared.sort is not Sort.TYPE and not self._native(declared.name.implements or text):
            self.sources[name.text] = source
        return name

    def _interface(self, sources: Sequence[Source]) -> int:
        """Defines the type of an instance that has all that `sources` declare."""
        interface = InterfaceType()
        for source in sources:
            part, text = source
            declared = self._parts[part].interface(text)
            items = (
                only_types(declared, partial(self._is_left_out, part)) if source in self._joined else declared
            )
            interface.add(items, partial(self.type, part))
        return self._builder.type(interface.written())

    def _is_left_out(self, part: int, index: int) -> bool:
        """Whether a type mentions resources of an import that is joined."""
        resources = reach_of_types(self._parts[part], [index]).resources
        return any((part, name) in self._joined for name in resources)


@contextmanager
def _said_of(name: str) -> Iterator[None]:
    try:
        yield
    except Malformed as reason:
        raise Malformed(f"the import {name}: {reason}") from None


def _shared(
    parts: Sequence[Anatomy], joined: Collection[Source], native: Callable[[str], bool]
) -> Mapping[Source, tuple[ExternName, list[Source]]]:
    """Native interfaces: under which name each is imported, and by whom. Of several versions the latest."""
    groups: list[list[Source]] = []
    for part, anatomy in enumerate(parts):
        for name, declared in anatomy.imports.items():
            if declared.sort is Sort.INSTANCE and (part, name) not in joined and native(name):
                for group in groups:
                    if _are_compatible(group[0][1], name):
                        group.append((part, name))
                        break
                else:
                    groups.append([(part, name)])
    shared: dict[Source, tuple[ExternName, list[Source]]] = {}
    for group in groups:
        latest = max((name for _, name in group), key=_precedence)
        shared |= dict.fromkeys(group, (plain_name(latest), group))
    return shared


def _are_compatible(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        first, second = InterfaceName.parse(one), InterfaceName.parse(other)
    except InvalidArgument:
        return False
    return first.unversioned == second.unversioned and versions_compatible(first.version, second.version)


def _precedence(name: str) -> list[int]:
    """By what the latest of compatible versions is found."""
    return [int(number) for number in re.findall("[0-9]+", name.partition("@")[2].partition("+")[0])]
