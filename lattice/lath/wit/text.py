"""Descriptors as WIT text: for `lath inspect` and for messages.

A type that carries a name is shown by it. A compiled component does not carry names, so its records,
variants, enums and flags are written out in place (`record { n: u32 }`), which WIT itself has no form for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lath.wit.grammar import KEYWORDS
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
)
from lath.wit.walk import parts_of

_INDENT: Final = "  "


def identifier(name: str) -> str:
    """`name` as an identifier of WIT text: a keyword is escaped."""
    return f"%{name}" if name in KEYWORDS else name


def type_text(kind: Type) -> str:
    """The text of a type: `list<tuple<string, u32>>`, `key-response`, `record { n: u32 }`."""
    match kind:
        case Primitive(name):
            return name
        case Record() | Variant() | Enum() | Flags() if kind.name:
            return identifier(kind.name)
        case Record() | Variant() | Enum() | Flags():
            return f"{keyword_of(kind)} {{ {', '.join(members(kind))} }}"
        case ListOf(element):
            return f"list<{type_text(element)}>"
        case MapOf(key, value):
            return f"map<{type_text(key)}, {type_text(value)}>"
        case TupleOf(elements):
            return f"tuple<{', '.join(map(type_text, elements))}>"
        case OptionOf(inner):
            return f"option<{type_text(inner)}>"
        case ResultOf(ok, err):
            return _result_text(ok, err)
        case Handle(mode, resource):
            return identifier(resource) if mode == "own" else f"borrow<{identifier(resource)}>"


def func_text(func: Func) -> str:
    """The text of a signature: `func(key: string) -> option<list<u8>>`."""
    result = "" if func.result is None else f" -> {type_text(func.result)}"
    return f"{'async ' if func.is_async else ''}func({params_text(func.params)}){result}"


def params_text(params: Sequence[Field]) -> str:
    """The text of parameters: `key: string, value: list<u8>`."""
    return ", ".join(_field_text(param) for param in params)


def render(item: World | Interface | Func | Type) -> str:
    """The WIT text of a descriptor. Worlds and interfaces span lines, without a final line break."""
    match item:
        case World():
            return "\n".join(_world_lines(item))
        case Interface():
            return "\n".join(_interface_lines(item))
        case Func():
            return func_text(item)
        case _:
            return type_text(item)


def named_types(interface: Interface) -> list[Record | Variant | Enum | Flags]:
    """The types with names that the functions of an interface mention, those that others need first."""
    found: dict[str, Record | Variant | Enum | Flags] = {}
    for kind in mentioned_types(interface):
        if isinstance(kind, Record | Variant | Enum | Flags) and kind.name:
            found.setdefault(kind.name, kind)
    return list(found.values())


def mentioned_types(interface: Interface) -> Iterator[Type]:
    """Every type that the functions of an interface mention, the parts of a type before it."""
    for func in interface.functions.values():
        for param in func.params:
            yield from _within(param.type)
        if func.result is not None:
            yield from _within(func.result)


def keyword_of(kind: Record | Variant | Enum | Flags) -> str:
    return type(kind).__name__.lower()


def members(kind: Record | Variant | Enum | Flags) -> list[str]:
    """The fields, cases or labels of a type, as text."""
    match kind:
        case Record(fields):
            return [_field_text(each) for each in fields]
        case Variant(cases):
            return [_case_text(case) for case in cases]
        case Enum(names) | Flags(names):
            return [identifier(name) for name in names]


def _result_text(ok: Type | None, err: Type | None) -> str:
    if err is None:
        return "result" if ok is None else f"result<{type_text(ok)}>"
    return f"result<{'_' if ok is None else type_text(ok)}, {type_text(err)}>"


def _field_text(each: Field) -> str:
    return f"{identifier(each.name)}: {type_text(each.type)}"


def _case_text(case: Case) -> str:
    name = identifier(case.name)
    return name if case.type is None else f"{name}({type_text(case.type)})"


def _within(kind: Type) -> Iterator[Type]:
    """The types that `kind` is made of, innermost first, then `kind` itself."""
    for part in parts_of(kind):
        yield from _within(part)
    yield kind


def _world_lines(world: World) -> Iterator[str]:
    yield "world root {"
    for verb, interfaces in (("import", world.imports), ("export", world.exports)):
        for name, interface in interfaces.items():
            if not interface.name:
                for function, func in interface.functions.items():
                    yield f"{_INDENT}{verb} {identifier(function)}: {func_text(func)};"
            else:
                yield f"{_INDENT}{verb} {_target(name, interface)} {{"
                yield from (f"{_INDENT}{_INDENT}{line}" for line in _body_lines(interface))
                yield f"{_INDENT}}}"
    yield "}"


def _target(name: str, interface: Interface) -> str:
    return name if name == interface.name else f"{name}: {interface.name}"


def _interface_lines(interface: Interface) -> Iterator[str]:
    """An interface; a full name is shown without its package, which stands on a line of its own in WIT."""
    path, _, version = interface.name.partition("@")
    package, slash, name = path.rpartition("/")
    if slash:
        yield f"package {package}{'@' + version if version else ''};"
        yield ""
    yield f"interface {identifier(name)} {{"
    yield from (f"{_INDENT}{line}" for line in _body_lines(interface))
    yield "}"


def _body_lines(interface: Interface) -> Iterator[str]:
    yield from _use_lines(interface)
    for kind in named_types(interface):
        yield f"{keyword_of(kind)} {identifier(kind.name or '')} {{"
        yield from (f"{_INDENT}{member}," for member in members(kind))
        yield "}"
    for resource in interface.resources:
        yield from _resource_lines(resource, interface)
    for name, func in interface.functions.items():
        if not name.startswith("["):
            yield f"{identifier(name)}: {func_text(func)};"


def _use_lines(interface: Interface) -> Iterator[str]:
    """One `use` for each resource of another interface."""
    used = {
        (kind.interface, kind.resource): None
        for kind in mentioned_types(interface)
        if isinstance(kind, Handle) and kind.interface not in ("", interface.name)
    }
    for path, resource in used:
        yield f"use {path}.{{{identifier(resource)}}};"


def _resource_lines(resource: str, interface: Interface) -> Iterator[str]:
    lines = []
    for name, func in interface.functions.items():
        tag, bracket, rest = name.partition("]")
        owner, _, method = rest.partition(".")
        if not bracket or owner != resource:
            continue
        if tag == "[constructor":
            lines.append(_constructor_text(func, resource))
        elif tag.endswith("static"):
            lines.append(f"{identifier(method)}: static {func_text(func)};")
        else:
            without_self = Func(func.params[1:], func.result, func.is_async)
            lines.append(f"{identifier(method)}: {func_text(without_self)};")
    if not lines:
        yield f"resource {identifier(resource)};"
        return
    yield f"resource {identifier(resource)} {{"
    yield from (f"{_INDENT}{line}" for line in lines)
    yield "}"


def _constructor_text(func: Func, resource: str) -> str:
    plain = isinstance(func.result, Handle) and func.result.resource == resource
    result = "" if plain or func.result is None else f" -> {type_text(func.result)}"
    return f"constructor({params_text(func.params)}){result};"
