"""What stands at the root of a component: imports, exports, and the indices that their types need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lath_host.engine.compose.binary import (
    COMPONENT_HEADER,
    ExternName,
    Malformed,
    Reader,
    Section,
    Sort,
    sections,
)  # fmt: skip
from lath_host.engine.compose.typedefs import Declarator, Declared, copied, declarators, read_declared

_OUTER_ALIAS: Final = 2
_LIFT: Final = 0x00
_LOWER: Final = 0x01
_RESOURCE_BUILTINS: Final = (0x02, 0x03, 0x04)
"""`resource.new`, `resource.drop`, `resource.rep`."""
_OPTIONS: Final = (0x00, 0x01, 0x02, 0x06)
_OPTIONS_WITH_INDEX: Final = (0x03, 0x04, 0x05, 0x07)
_INSTANTIATED: Final = 0
_PUT_TOGETHER: Final = 1
_RESOURCE: Final = 0x3F
_REP_I32: Final = 0x7F


@dataclass(frozen=True, slots=True)
class DefinedType:
    """A type that is written out."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TypeOfInstance:
    """A type that an instance exports."""

    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class ImportedType:
    name: str


@dataclass(frozen=True, slots=True)
class ExportedType:
    """Another type, under the name that it has from its export on."""

    name: str
    index: int


RootType = DefinedType | TypeOfInstance | ImportedType | ExportedType | None
"""None: of the component's own making."""


@dataclass(frozen=True, slots=True)
class MadeInstance:
    """An instance of the component's own, by the indices of the types and instances that it was made with."""

    types: tuple[int, ...] = ()
    instances: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RootExport:
    """An export.

    Attributes:
        index: What is exported, by its sort.
        type_: The index that an exported type has from there on; of a function its type's, where that is
            known.
    """

    name: ExternName
    sort: Sort
    index: int
    type_: int | None = None


class Anatomy:
    """A component, as far as what is around it has to know it.

    Args:
        component: Its bytes.

    Attributes:
        imports: How each import is declared, by its name.
        exports: What it exports, in order.
        types: The types by index.

    Raises:
        Malformed: It is not a component, or one with something that this does not know.
    """

    def __init__(self, component: bytes) -> None:
        self.imports: dict[str, Declared] = {}
        self.exports: list[RootExport] = []
        self.types: list[RootType] = []
        self._instances: list[str | MadeInstance] = []
        self._funcs: list[int | None] = []
        self._funcs_are_known = True
        read: dict[int, Callable[[Reader], None]] = {
            Section.TYPE: self._type,
            Section.IMPORT: self._import,
            Section.ALIAS: self._alias,
            Section.EXPORT: self._export,
            Section.INSTANCE: self._instance,
            Section.CANON: self._canonical,
        }
        for number, body, _, _ in sections(component, COMPONENT_HEADER):
            if number in read:
                reader = Reader(body)
                for _ in range(reader.leb()):
                    read[number](reader)

    def instance(self, index: int) -> str | MadeInstance | None:
        """The import that an instance is, or what it was made with; None where there is none."""
        return self._instances[index] if index < len(self._instances) else None

    def interface(self, name: str) -> list[Declarator]:
        """What an imported instance declares.

        Raises:
            Malformed: The import is no instance, or of a type that is not written out.
        """
        declared = self.imports[name]
        type_ = None
        if declared.index is not None and declared.index < len(self.types):
            type_ = self.types[declared.index]
        if declared.sort is not Sort.INSTANCE or not isinstance(type_, DefinedType):
            raise Malformed(f"the import {name} is no instance, or its type is not written out")
        return declarators(type_.data)

    def _type(self, reader: Reader) -> None:
        begin = reader.at
        if begin < len(reader.data) and reader.data[begin] == _RESOURCE:
            _pass_over_resource(reader)
            self.types.append(None)
        else:
            copied(reader, lambda depth, index: index)
            self.types.append(DefinedType(reader.data[begin : reader.at]))

    def _import(self, reader: Reader) -> None:
        declared = read_declared(reader, reader.extern_name())
        name = declared.name.text
        if name in self.imports:
            raise Malformed(f"imports {name} twice")
        self.imports[name] = declared
        if declared.sort is Sort.TYPE:
            self.types.append(ImportedType(name))
        elif declared.sort is Sort.INSTANCE:
            self._instances.append(name)
        elif declared.sort is Sort.FUNC:
            self._add_func(declared.index)

    def _alias(self, reader: Reader) -> None:
        sort = reader.sort()
        if sort is Sort.CORE:
            reader.byte()
        kind, index = reader.byte(), reader.leb()
        if kind == _OUTER_ALIAS:
            raise Malformed("an alias of something around it stands at its root")
        name = reader.name()
        if sort is Sort.TYPE:
            self.types.append(TypeOfInstance(index, name))
        elif sort is Sort.INSTANCE:
            self._instances.append(MadeInstance(instances=(index,)))
        elif sort is Sort.FUNC:
            self._add_func(None)

    def _export(self, reader: Reader) -> None:
        name, sort = reader.extern_name(), reader.sort()
        if sort is Sort.CORE:
            reader.byte()
        index = reader.leb()
        ascribed = read_declared(reader, name) if reader.byte() else None
        type_ = None
        if sort is Sort.FUNC:
            type_ = ascribed.index if ascribed else self._func(index)
            self._add_func(type_)
        elif sort is Sort.TYPE:
            type_ = len(self.types)
            self.types.append(ExportedType(name.text, index))
        elif sort is Sort.INSTANCE:
            self._instances.append(MadeInstance(instances=(index,)))
        self.exports.append(RootExport(name, sort, index, type_))

    def _instance(self, reader: Reader) -> None:
        kind = reader.byte()
        if kind == _INSTANTIATED:
            reader.leb()
        elif kind != _PUT_TOGETHER:
            raise Malformed(f"an instance of the unknown kind {kind}")
        types: list[int] = []
        instances: list[int] = []
        for _ in range(reader.leb()):
            if kind == _INSTANTIATED:
                reader.name()
            else:
                reader.extern_name()
            sort = reader.sort()
            if sort is Sort.CORE:
                reader.byte()
            index = reader.leb()
            if sort is Sort.TYPE:
                types.append(index)
            elif sort is Sort.INSTANCE:
                instances.append(index)
            elif sort is Sort.FUNC and (type_ := self._func(index)) is not None:
                types.append(type_)
        self._instances.append(MadeInstance(tuple(types), tuple(instances)))

    # -- functions -------------------------------------------------------------------------------------------

    def _func(self, index: int) -> int | None:
        return self._funcs[index] if index < len(self._funcs) else None

    def _add_func(self, type_: int | None) -> None:
        if self._funcs_are_known:
            self._funcs.append(type_)

    def _canonical(self, reader: Reader) -> None:
        """Notes which type a function is lifted with, as long as all definitions are known."""
        if not self._funcs_are_known:
            return
        kind = reader.byte()
        if kind in _RESOURCE_BUILTINS:
            reader.leb()
        elif kind in (_LIFT, _LOWER):
            reader.byte()
            reader.leb()
            self._funcs_are_known = _pass_over_options(reader)
            if kind == _LIFT and self._funcs_are_known:
                self._funcs.append(reader.leb())
        else:
            self._funcs_are_known = False


def _pass_over_options(reader: Reader) -> bool:
    """Whether all of them are known."""
    for _ in range(reader.leb()):
        option = reader.byte()
        if option in _OPTIONS_WITH_INDEX:
            reader.leb()
        elif option not in _OPTIONS:
            return False
    return True


def _pass_over_resource(reader: Reader) -> None:
    reader.byte()
    if reader.byte() != _REP_I32:
        raise Malformed("a resource of an unknown representation")
    if reader.byte():
        reader.leb()
