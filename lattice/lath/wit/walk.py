"""Walking through types."""

from __future__ import annotations

from lath.wit.types import ListOf, MapOf, OptionOf, Record, ResultOf, TupleOf, Type, Variant


def parts_of(kind: Type) -> list[Type]:
    """The types that a type is made of directly, in the order in which they stand."""
    match kind:
        case ListOf(inner) | OptionOf(inner):
            return [inner]
        case MapOf(key, value):
            return [key, value]
        case TupleOf(elements):
            return list(elements)
        case Record(fields):
            return [each.type for each in fields]
        case Variant(cases):
            return [case.type for case in cases if case.type is not None]
        case ResultOf(ok, err):
            return [side for side in (ok, err) if side is not None]
        case _:
            return []
