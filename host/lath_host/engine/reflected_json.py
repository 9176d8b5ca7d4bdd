"""What a component says about itself as JSON, to be kept beside the compiled component.

Types stand in one table, each once, and are referred to by their place in it: one `enum` of WASI has 37 cases
and stands in dozens of functions. What is read back shares them likewise.
Which handles the host answers itself is not written down: that is decided when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from lath.wit.types import (
    Case,
    Enum,
    Field,
    Flags,
    Func,
    Handle,
    Interface,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
    World,
)  # fmt: skip
from lath_host.engine.reflect import Reflected
from lath_host.engine.values.exported import ExportedHandle
from lath_host.engine.values.local import LocalHandle

REFLECTED_VERSION: Final = 2
"""Goes up when another thing is read of a component, or written in another form."""

Json: TypeAlias = Any
"""What `json.loads` gives."""


def to_json(reflected: Reflected) -> Json:
    """The JSON form."""
    table = _Written()
    world = reflected.world
    return {
        "imports": {name: table.interface(each) for name, each in world.imports.items()},
        "exports": {name: table.interface(each) for name, each in world.exports.items()},
        "refused_imports": _pairs(reflected.refused_imports),
        "refused_exports": _pairs(reflected.refused_exports),
        "uncrossable_exports": _pairs(reflected.uncrossable_exports),
        "aliased_resources": _pairs(reflected.aliased_resources),
        "twins": sorted(reflected.twins),
        "types": table.rows,
    }


def from_json(value: Json) -> Reflected:
    """What `to_json` was given.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: It is no such form.
    """
    types: list[Type] = []
    for kind, *parts in value["types"]:
        types.append(_READERS[kind](types, *parts))
    world = World(
        {name: _interface(types, each) for name, each in value["imports"].items()},
        {name: _interface(types, each) for name, each in value["exports"].items()},
    )
    return Reflected(
        world,
        _by_pair(value["refused_imports"]),
        _by_pair(value["refused_exports"]),
        _by_pair(value["uncrossable_exports"]),
        {pair: (interface, name) for pair, (interface, name) in _by_pair(value["aliased_resources"]).items()},
        frozenset(value["twins"]),
    )


class _Written:
    """The table of types, as it is written."""

    def __init__(self) -> None:
        self.rows: list[Json] = []
        self._places: dict[Json, int] = {}

    def interface(self, interface: Interface) -> Json:
        functions = {name: self._func(func) for name, func in interface.functions.items()}
        return [interface.name, functions, interface.resources, interface.label]

    def _func(self, func: Func) -> Json:
        return [self._members(func.params), self._place(func.result), func.is_async]

    def _members(self, members: tuple[Field | Case, ...]) -> Json:
        return tuple((each.name, self._place(each.type)) for each in members)

    def _place(self, type_: Type | None) -> int | None:
        if type_ is None:
            return None
        row = self._row(type_)
        place = self._places.setdefault(row, len(self.rows))
        if place == len(self.rows):
            self.rows.append(row)
        return place

    def _row(self, type_: Type) -> Json:
        match type_:
            case Primitive(kind):
                return ("primitive", kind)
            case ListOf(element):
                return ("list", self._place(element))
            case MapOf(key, value):
                return ("map", self._place(key), self._place(value))
            case TupleOf(elements):
                return ("tuple", tuple(map(self._place, elements)))
            case OptionOf(inner):
                return ("option", self._place(inner))
            case ResultOf(ok, err):
                return ("result", self._place(ok), self._place(err))
            case Record(fields):
                return ("record", self._members(fields))
            case Variant(cases):
                return ("variant", self._members(cases))
            case Enum(names):
                return ("enum", names)
            case Flags(labels):
                return ("flags", labels)
            case ExportedHandle(mode, resource):
                return ("exported", mode, resource, type_.interface)
            case LocalHandle(mode, resource):
                return ("local", mode, resource, type_.interface)
            case Handle(mode, resource):
                return ("imported", mode, resource, type_.interface)


def _interface(types: list[Type], value: Json) -> Interface:
    name, functions, resources, label = value
    return Interface(
        name, {each: _func(types, func) for each, func in functions.items()}, tuple(resources), label
    )


def _func(types: list[Type], value: Json) -> Func:
    params, result, is_async = value
    return Func(_fields(types, params), None if result is None else types[result], is_async)


def _fields(types: list[Type], members: Json) -> tuple[Field, ...]:
    return tuple(Field(name, types[place]) for name, place in members)


def _optional(types: list[Type], place: int | None) -> Type | None:
    return None if place is None else types[place]


_READERS: Final[Mapping[str, Callable[..., Type]]] = {
    "primitive": lambda types, kind: Primitive(kind),
    "list": lambda types, element: ListOf(types[element]),
    "map": lambda types, key, value: MapOf(types[key], types[value]),
    "tuple": lambda types, elements: TupleOf(tuple(types[each] for each in elements)),
    "option": lambda types, inner: OptionOf(types[inner]),
    "result": lambda types, ok, err: ResultOf(_optional(types, ok), _optional(types, err)),
    "record": lambda types, fields: Record(_fields(types, fields)),
    "variant": lambda types, cases: Variant(
        tuple(Case(name, _optional(types, place)) for name, place in cases)
    ),
    "enum": lambda types, names: Enum(tuple(names)),
    "flags": lambda types, labels: Flags(tuple(labels)),
    "exported": lambda types, mode, resource, interface: ExportedHandle(mode, resource, interface),
    "local": lambda types, mode, resource, interface: LocalHandle(mode, resource, interface),
    "imported": lambda types, mode, resource, interface: Handle(mode, resource, interface),
}


def _pairs(by_pair: Mapping[tuple[str, str], Json]) -> Json:
    return [[*pair, value] for pair, value in by_pair.items()]


def _by_pair(rows: Json) -> dict[tuple[str, str], Any]:
    return {(interface, name): value for interface, name, value in rows}
