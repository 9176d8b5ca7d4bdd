"""Types written out for a component in the making, from their descriptors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from lath.wit.types import (
    Enum,
    Flags,
    Func,
    Handle,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    PrimitiveKind,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)  # fmt: skip
from lath_host.engine.compose.binary import Sort, leb, name, type_index, vector
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.values.bulk import BulkBytes
from lath_host.engine.values.numbered import NumberedHandle

_PRIMITIVES: Final[dict[PrimitiveKind, int]] = {
    "bool": 0x7F, "s8": 0x7E, "u8": 0x7D, "s16": 0x7C, "u16": 0x7B, "s32": 0x7A, "u32": 0x79, "s64": 0x78,
    "u64": 0x77, "f32": 0x76, "f64": 0x75, "char": 0x74, "string": 0x73,
}  # fmt: skip
_STRING: Final = bytes([_PRIMITIVES["string"]])
_U32: Final = bytes([_PRIMITIVES["u32"]])
_FUNC: Final = b"\x40"
_ASYNC_FUNC: Final = b"\x43"

ResourceOf = Callable[[Handle], int]


class Types:
    """Defines each type once. `BulkBytes` becomes `string`, `NumberedHandle` becomes `u32`.

    Records, variants, enums and flags may stand in the type of an import or export only under a name, which
    they get by being imported: an import of a type asks nothing of the host.

    Args:
        builder: Where they are defined.
        resource: Gives the type index of the resource of a handle.
        prefix: What the names of imported types begin with.

    Attributes:
        imported: The descriptor by name of what was imported.
        resource: As given.
    """

    def __init__(self, builder: ComponentBuilder, resource: ResourceOf, prefix: str) -> None:
        self.imported: dict[str, Type] = {}
        self._builder = builder
        self.resource = resource
        self._prefix = prefix
        self._indices: dict[str, int] = {}

    def func(self, func: Func) -> int:
        """The index of a function's type."""
        params = vector(name(param.name) + self.value(param.type) for param in func.params)
        result = b"\0" + self.value(func.result) if func.result else b"\x01\0"
        return self._builder.type((_ASYNC_FUNC if func.is_async else _FUNC) + params + result)

    def given(self, imported: Mapping[str, Type]) -> dict[str, tuple[Sort, int]]:
        """What a nested component is instantiated with that imports these types, by name."""
        return {label: (Sort.TYPE, self.index(type_)) for label, type_ in imported.items()}

    def index(self, type_: Type) -> int:
        """The index of a type that is no primitive."""
        # by the text: two handles are equal though the resources' interfaces differ
        key = repr(type_)
        if key not in self._indices:
            index = self._builder.type(self._definition(type_))
            if isinstance(type_, (Record, Variant, Enum, Flags)):
                label = f"{self._prefix}-t{len(self.imported)}"
                self.imported[label] = type_
                index = self._builder.import_type(label, index)
            self._indices[key] = index
        return self._indices[key]

    def value(self, type_: Type) -> bytes:
        """How a type is referred to."""
        match type_:
            case BulkBytes():
                return _STRING
            case NumberedHandle():
                return _U32
            case Primitive(kind=kind):
                return bytes([_PRIMITIVES[kind]])
        return type_index(self.index(type_))

    def _definition(self, type_: Type) -> bytes:
        match type_:
            case ListOf(element=element):
                return b"\x70" + self.value(element)
            case MapOf(key=key, value=value):
                return b"\x63" + self.value(key) + self.value(value)
            case TupleOf(elements=elements):
                return b"\x6f" + vector(self.value(element) for element in elements)
            case Record(fields=fields):
                return b"\x72" + vector(name(field.name) + self.value(field.type) for field in fields)
            case Variant(cases=cases):
                return b"\x71" + vector(name(case.name) + self._optional(case.type) + b"\0" for case in cases)
            case Enum(cases=names):
                return b"\x6d" + vector(map(name, names))
            case Flags(labels=labels):
                return b"\x6e" + vector(map(name, labels))
            case OptionOf(inner=inner):
                return b"\x6b" + self.value(inner)
            case ResultOf(ok=ok, err=err):
                return b"\x6a" + self._optional(ok) + self._optional(err)
            case Handle(mode=mode):
                return (b"\x69" if mode == "own" else b"\x68") + leb(self.resource(type_))
            case Primitive():
                return self.value(type_)

    def _optional(self, type_: Type | None) -> bytes:
        return b"\0" if type_ is None else b"\x01" + self.value(type_)
