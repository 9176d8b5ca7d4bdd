"""Descriptors as JSON, for what travels between processes: inventories, `lath inspect -o json`.

- `"u32"`, `{"list": T}`, `{"map": [K, V]}`, `{"tuple": [T, …]}`, `{"option": T}`
- `{"result": [T, T]}`, with null where a side carries nothing
- `{"record": [{"name", "type"}], "name"}`, `{"variant": [{"name", "type"}], "name"}`
- `{"enum": […], "name"}`, `{"flags": […], "name"}`
- `{"own": resource, "interface"}`, `{"borrow": resource, "interface"}`

Functions, interfaces and worlds say what they are under `kind`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast, overload

from lath.errors import InvalidArgument
from lath.names import shown
from lath.wit.grammar import PRIMITIVES
from lath.wit.reader import TYPE_NESTING_MAX
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
    PrimitiveKind,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
    World,
)

Json: TypeAlias = Any
"""What `json.loads` gives."""

_KINDS: Final = ("func", "interface", "world")


def to_json(item: World | Interface | Func | Type) -> Json:
    """The JSON form of a descriptor."""
    match item:
        case World(imports, exports):
            return {"kind": "world", "imports": _interfaces(imports), "exports": _interfaces(exports)}
        case Interface():
            return {
                "kind": "interface",
                "name": item.name,
                "functions": {name: to_json(func) for name, func in item.functions.items()},
                "resources": list(item.resources),
                "label": item.label,
            }
        case Func(params, result, is_async):
            fields = [_member(each) for each in params]
            return {"kind": "func", "params": fields, "result": _optional(result), "async": is_async}
        case _:
            return _type(item)


@overload
def from_json(value: Json, expected: type[World]) -> World: ...
@overload
def from_json(value: Json, expected: type[Interface]) -> Interface: ...
@overload
def from_json(value: Json, expected: type[Func]) -> Func: ...
@overload
def from_json(value: Json, expected: None = None) -> World | Interface | Func | Type: ...
def from_json(
    value: Json, expected: type[World] | type[Interface] | type[Func] | None = None
) -> World | Interface | Func | Type:
    """The descriptor of a JSON form.

    Args:
        value: What `to_json` gave.
        expected: What it must be; any descriptor when left out.

    Raises:
        InvalidArgument: It is no such form.
    """
    try:
        item = _read(value)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(f"malformed WIT descriptor: {error!r}") from None
    if expected is not None and not isinstance(item, expected):
        raise InvalidArgument(f"expected a WIT {expected.__name__}, got a {type(item).__name__}")
    return item


# To JSON


def _interfaces(interfaces: Mapping[str, Interface]) -> Json:
    return {name: to_json(interface) for name, interface in interfaces.items()}


def _optional(kind: Type | None) -> Json:
    return None if kind is None else _type(kind)


def _member(member: Field | Case) -> Json:
    return {"name": member.name, "type": _optional(member.type)}


def _type(kind: Type) -> Json:
    match kind:
        case Primitive(name):
            return name
        case ListOf(element):
            return {"list": _type(element)}
        case MapOf(key, value):
            return {"map": [_type(key), _type(value)]}
        case TupleOf(elements):
            return {"tuple": [_type(each) for each in elements]}
        case OptionOf(inner):
            return {"option": _type(inner)}
        case ResultOf(ok, err):
            return {"result": [_optional(ok), _optional(err)]}
        case Record(fields):
            return {"record": [_member(each) for each in fields], "name": kind.name}
        case Variant(cases):
            return {"variant": [_member(each) for each in cases], "name": kind.name}
        case Enum(names):
            return {"enum": list(names), "name": kind.name}
        case Flags(labels):
            return {"flags": list(labels), "name": kind.name}
        case Handle(mode, resource):
            return {mode: resource, "interface": kind.interface}


# From JSON


def _read(value: Json) -> World | Interface | Func | Type:
    kind = value.get("kind") if isinstance(value, dict) else None
    match kind:
        case "world":
            return World(_read_interfaces(value["imports"]), _read_interfaces(value["exports"]))
        case "interface":
            return _read_interface(value)
        case "func":
            return _read_func(value)
        case None:
            return _read_type(value)
        case _:
            raise InvalidArgument(f"{shown(kind)} is no kind of WIT descriptor: {', '.join(_KINDS)} are")


def _read_interfaces(value: Json) -> dict[str, Interface]:
    return {_text(name): _read_interface(interface) for name, interface in value.items()}


def _read_interface(value: Json) -> Interface:
    functions = {_text(name): _read_func(func) for name, func in value["functions"].items()}
    resources = tuple(_text(name) for name in value["resources"])
    label = value["label"]
    return Interface(_text(value["name"]), functions, resources, None if label is None else _text(label))


def _read_func(value: Json) -> Func:
    params = tuple(_read_field(each, 0) for each in value["params"])
    return Func(params, _read_optional(value["result"], 0), value["async"] is True)


def _read_field(value: Json, depth: int) -> Field:
    return Field(_text(value["name"]), _read_type(value["type"], depth))


def _read_case(value: Json, depth: int) -> Case:
    return Case(_text(value["name"]), _read_optional(value["type"], depth))


def _read_optional(value: Json, depth: int) -> Type | None:
    return None if value is None else _read_type(value, depth)


def _read_type(value: Json, depth: int = 0) -> Type:
    if depth > TYPE_NESTING_MAX:
        raise InvalidArgument(f"malformed WIT descriptor: types are nested deeper than {TYPE_NESTING_MAX}")
    if isinstance(value, str) and value in PRIMITIVES:
        return Primitive(cast(PrimitiveKind, value))
    form = next(iter(value), "") if isinstance(value, dict) else value
    inside = depth + 1
    match value:
        case {"list": element}:
            return ListOf(_read_type(element, inside))
        case {"map": [key, item]}:
            return MapOf(_read_type(key, inside), _read_type(item, inside))
        case {"tuple": [*elements]}:
            return TupleOf(tuple(_read_type(each, inside) for each in elements))
        case {"option": inner}:
            return OptionOf(_read_type(inner, inside))
        case {"result": [ok, err]}:
            return ResultOf(_read_optional(ok, inside), _read_optional(err, inside))
        case {"record": [*fields]}:
            return Record(tuple(_read_field(each, inside) for each in fields), _name(value))
        case {"variant": [*cases]}:
            return Variant(tuple(_read_case(each, inside) for each in cases), _name(value))
        case {"enum": [*names]}:
            return Enum(tuple(map(_text, names)), _name(value))
        case {"flags": [*labels]}:
            return Flags(tuple(map(_text, labels)), _name(value))
        case {"own": str(resource)}:
            return Handle("own", resource, _text(value.get("interface", "")))
        case {"borrow": str(resource)}:
            return Handle("borrow", resource, _text(value.get("interface", "")))
        case _:
            raise InvalidArgument(f"malformed WIT descriptor: {shown(form)} is no type")


def _name(value: Mapping[str, Json]) -> str | None:
    name = value.get("name")
    return None if name is None else _text(name)


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    raise InvalidArgument(f"malformed WIT descriptor: expected a name, got a {type(value).__name__}")
