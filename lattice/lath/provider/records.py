"""Records as the classes that an operation's annotations name: dataclasses, pydantic models, named tuples.

The codec gives a `Record`. Where a parameter is annotated with such a class, alone, in an option, a list or a
tuple, or as a field of another one, the operation gets an object of it.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from lath.codec import Record, Some, python_name
from lath.errors import InvalidArgument
from lath.model import describe
from lath.provider.fields import fields_of
from lath.provider.fitting import members_of
from lath.provider.resource import Convert
from lath.wit import types as wit


def record_lifter(annotation: Any, kind: wit.Type) -> Convert | None:
    """What makes the records in a decoded value into the classes of its annotation; None if it names none.

    Args:
        annotation: Resolved, and known to fit.
        kind: The value's type.

    The closure raises `InvalidArgument` where a class refuses a record: a validator of a pydantic model, say.
    """
    match kind:
        case wit.Record():
            return _first(_record(member, kind) for member in members_of(annotation))
        case wit.OptionOf(inner):
            lift = _first(_option(member, kind, inner) for member in members_of(annotation))
            return None if lift is None else _unless_none(lift)
        case wit.ListOf(element):
            lift = _first(record_lifter(arg, element) for arg in _args(annotation)[:1])
            return None if lift is None else _each(lift)
        case wit.TupleOf(elements):
            return _tuple(_args(annotation), elements)
        case _:
            return None


def _first(lifts: typing.Iterable[Convert | None]) -> Convert | None:
    return next((lift for lift in lifts if lift is not None), None)


def _args(annotation: Any) -> Sequence[Any]:
    """The arguments of the one generic type among an annotation's members."""
    found = [typing.get_args(member) for member in members_of(annotation)]
    return next((args for args in found if args), ())


def _record(cls: Any, kind: wit.Record) -> Convert | None:
    if not isinstance(cls, type) or not _makes_objects(cls):
        return None
    kinds = {python_name(each.name): each.type for each in kind.fields}
    fields = fields_of(cls) or {}
    lifts = {name: record_lifter(annotation, kinds[name]) for name, annotation in fields.items()}

    def lift(record: Record) -> Any:
        values = {
            name: record[name] if convert is None else convert(record[name])
            for name, convert in lifts.items()
        }
        try:
            return cls(**values)
        except ValidationError as e:
            raise InvalidArgument(f"{cls.__name__}: {describe(e)}") from None
        except ValueError as e:
            raise InvalidArgument(f"{cls.__name__}: {e}") from None

    return lift


def _makes_objects(cls: type[Any]) -> bool:
    named_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    return dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel) or named_tuple


def _option(member: Any, kind: wit.OptionOf, inner: wit.Type) -> Convert | None:
    if not kind.inner_may_be_nil:
        return record_lifter(member, inner)
    if typing.get_origin(member) is not Some:
        return None
    lift = record_lifter(typing.get_args(member)[0], inner)
    return None if lift is None else lambda some: Some(lift(some.value))


def _unless_none(lift: Convert) -> Convert:
    return lambda value: None if value is None else lift(value)


def _each(lift: Convert) -> Convert:
    return lambda values: [lift(value) for value in values]


def _tuple(args: Sequence[Any], elements: Sequence[wit.Type]) -> Convert | None:
    if len(args) == 2 and args[1] is Ellipsis:
        args = [args[0]] * len(elements)
    lifts = [record_lifter(arg, element) for arg, element in zip(args, elements, strict=False)]
    if not any(lifts):
        return None
    return lambda values: tuple(
        value if lift is None else lift(value) for lift, value in zip(lifts, values, strict=True)
    )
