"""What a type contains."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lath.wit.types import (
    Case,
    Field,
    Func,
    Handle,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)  # fmt: skip


def handles_in(type_: Type | None) -> Iterator[Handle]:
    """Every handle type inside `type_`."""
    if isinstance(type_, Handle):
        yield type_
        return
    for part in parts_of(type_):
        yield from handles_in(part)


def parts_of(type_: Type | None) -> list[Type | None]:
    """The types that `type_` is directly made of."""
    match type_:
        case ListOf(element=part) | OptionOf(inner=part):
            return [part]
        case MapOf(key=key, value=value):
            return [key, value]
        case TupleOf(elements=elements):
            return list(elements)
        case Record(fields=fields):
            return [field.type for field in fields]
        case Variant(cases=cases):
            return [case.type for case in cases]
        case ResultOf(ok=ok, err=err):
            return [ok, err]
    return []


def replaced(type_: Type, by: Callable[[Type], Type | None]) -> Type:
    """`type_` with every type in it for which `by` says one replaced by that."""
    found = by(type_)
    if found is not None:
        return found
    match type_:
        case ListOf(element=element):
            return ListOf(replaced(element, by))
        case MapOf(key=key, value=value):
            return MapOf(key, replaced(value, by))
        case TupleOf(elements=elements):
            return TupleOf(tuple(replaced(element, by) for element in elements))
        case Record(fields=fields, name=name):
            return Record(tuple(Field(field.name, replaced(field.type, by)) for field in fields), name)
        case Variant(cases=cases, name=name):
            return Variant(
                tuple(Case(case.name, case.type and replaced(case.type, by)) for case in cases), name
            )
        case OptionOf(inner=inner):
            return OptionOf(replaced(inner, by))
        case ResultOf(ok=ok, err=err):
            return ResultOf(ok and replaced(ok, by), err and replaced(err, by))
    return type_


def may_stand_alone(type_: Type | None) -> bool:
    """Whether values of it may be all in their own cell, pointing to nothing but a handle's box.

    So numbers and handles always are, and options and results are without a payload. Names of cases stand
    elsewhere.
    """
    if isinstance(type_, Primitive):
        return type_.kind != "string"
    return isinstance(type_, Handle | OptionOf | ResultOf)


def types_of(func: Func) -> list[Type | None]:
    """Those of a function's parameters, and its result's."""
    return [*(param.type for param in func.params), func.result]
