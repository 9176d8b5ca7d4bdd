"""The types of the component model as immutable descriptors.

One vocabulary for everybody who handles values: `lath.wit.parser` makes descriptors from WIT text,
`lath_host.engine` makes them from a compiled component, and `lath.codec` and the host compile
them to closures once, so that nothing is reflected per call.

Names of types take no part in equality: a compiled component does not carry them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

PrimitiveKind: TypeAlias = Literal[
    "bool", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "char", "string"
]

FLAGS_MAX = 32
"""The component model allows at most 32 labels in one `flags` type."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """`bool`, an integer, a float, `char` or `string`."""

    kind: PrimitiveKind


@dataclass(frozen=True, slots=True)
class ListOf:
    """`list<element>`; `list<u8>` is carried as bytes."""

    element: Type

    @property
    def is_bytes(self) -> bool:
        return isinstance(self.element, Primitive) and self.element.kind == "u8"


@dataclass(frozen=True, slots=True)
class MapOf:
    """`map<key, value>`."""

    key: Type
    value: Type


@dataclass(frozen=True, slots=True)
class TupleOf:
    """`tuple<a, b, …>`."""

    elements: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record, or a parameter of a function."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Record:
    """`record { field: type, … }`, in declared order."""

    fields: tuple[Field, ...]
    name: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Case:
    """A case of a variant, with or without a payload."""

    name: str
    type: Type | None


@dataclass(frozen=True, slots=True)
class Variant:
    """`variant { case(type), … }`."""

    cases: tuple[Case, ...]
    name: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Enum:
    """`enum { case, … }`."""

    cases: tuple[str, ...]
    name: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Flags:
    """`flags { label, … }`, at most `FLAGS_MAX` labels."""

    labels: tuple[str, ...]
    name: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class OptionOf:
    """`option<inner>`."""

    inner: Type

    @property
    def inner_may_be_nil(self) -> bool:
        """Whether the inner value itself may be nil on the wire, so that `some` needs a wrapper."""
        return isinstance(self.inner, OptionOf)


@dataclass(frozen=True, slots=True)
class ResultOf:
    """`result<ok, err>`; either side may carry nothing."""

    ok: Type | None
    err: Type | None


@dataclass(frozen=True, slots=True)
class Handle:
    """`own<resource>` or `borrow<resource>`. The resource is named `{interface}/{name}` where known."""

    mode: Literal["own", "borrow"]
    resource: str
    """The resource's bare name, such as `bucket`."""
    interface: str = field(default="", compare=False)
    """The interface that defines the resource, with its version: `wasi:keyvalue/store@0.2.0-draft`."""


Type: TypeAlias = (
    Primitive | ListOf | MapOf | TupleOf | Record | Variant | Enum | Flags | OptionOf | ResultOf | Handle
)


@dataclass(frozen=True, slots=True)
class Func:
    """A function's signature. `result` is None where the function returns nothing."""

    params: tuple[Field, ...]
    result: Type | None
    is_async: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as imported or exported by a world.

    Attributes:
        name: The full name with its version (`wasi:keyvalue/store@0.2.0-draft`); empty for the functions
            of the world itself.
        functions: Signature by WIT name (`get`, `[method]bucket.get`, `[static]bucket.make`,
            `[constructor]bucket`).
        resources: The names of the resources that the interface defines.
        label: For an import that says what it `implements`: the label it goes by, which chooses the link.
    """

    name: str
    functions: Mapping[str, Func]
    resources: tuple[str, ...] = ()
    label: str | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What a component imports and exports, by the name that stands in the component."""

    imports: Mapping[str, Interface]
    exports: Mapping[str, Interface]
