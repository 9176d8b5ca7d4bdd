"""A provider's resources: what a guest holds as a handle is bytes, from which any replica can go on.

`@resource("bucket")` makes a class into a frozen dataclass that travels as the msgpack of its fields. So a
handle outlives the instance that minted it, and needs no drop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar, dataclass_transform

import msgpack

from lath.codec import PROVIDER_RESOURCE, Ok, Record, Resource, Some, Variant
from lath.errors import InvalidArgument
from lath.wit import types as wit

C = TypeVar("C")
Convert: TypeAlias = Callable[[Any], Any]

_NAME: Final = "__lath_resource__"


@dataclass_transform(frozen_default=True)
def resource(name: str) -> Callable[[type[C]], type[C]]:
    """Makes a class the Python form of the resource `name` of an interface that a provider serves.

    The class becomes a frozen dataclass. Its fields must be what msgpack carries (str, bytes, int, float,
    bool, None, lists of them), unless it defines `to_bytes(self) -> bytes` and the class method
    `from_bytes(cls, data: bytes)` itself. The provider lists it in `resources`.

    Args:
        name: The resource's name in the WIT.
    """

    def decorate(cls: type[C]) -> type[C]:
        made: Any = dataclasses.dataclass(frozen=True)(cls)
        setattr(made, _NAME, name)
        if not hasattr(made, "to_bytes"):
            made.to_bytes = _to_bytes
        if not hasattr(made, "from_bytes"):
            made.from_bytes = classmethod(_from_bytes)
        return made  # type: ignore[no-any-return]

    return decorate


def is_resource(cls: type[Any]) -> bool:
    """Whether a class was made by `@resource`, or is derived from one that was."""
    return hasattr(cls, _NAME)


def resource_name(cls: type[Any]) -> str:
    """The name of the resource that a class stands for.

    Raises:
        InvalidArgument: It was not made by `@resource`.
    """
    name = cls.__dict__.get(_NAME)
    if not isinstance(name, str):
        raise InvalidArgument(f"{cls.__qualname__} is no resource: decorate it with @resource(NAME)")
    return name


def _to_bytes(self: Any) -> bytes:
    packed: bytes = msgpack.packb([getattr(self, f.name) for f in dataclasses.fields(self)])
    return packed


def _from_bytes(cls: Any, data: bytes) -> Any:
    values = msgpack.unpackb(data)
    return cls(*values)


def lifter(kind: wit.Type, classes: Mapping[str, type[Any]]) -> Convert | None:
    """What turns the handles inside a decoded value of type `kind` into resources; None if there are none."""
    match kind:
        case wit.Handle(resource=name) if name in classes:
            return _lift_one(classes[name])
        case wit.OptionOf(inner):
            lift = lifter(inner, classes)
            return None if lift is None else _within_option(lift)
        case wit.ListOf(element):
            lift = lifter(element, classes)
            return None if lift is None else _within_list(lift)
        case _:
            return None


def _lift_one(cls: Any) -> Convert:
    def lift(handle: Resource) -> Any:
        if handle.extension != PROVIDER_RESOURCE:
            raise InvalidArgument(
                f"a handle of resource {getattr(cls, _NAME)!r} is one of a component, not of a provider"
            )
        try:
            return cls.from_bytes(handle.data)
        except (ValueError, TypeError, msgpack.UnpackException) as e:
            raise InvalidArgument(
                f"a handle of resource {getattr(cls, _NAME)!r} is not one that this provider minted: {e}"
            ) from None

    return lift


def _within_option(lift: Convert) -> Convert:
    def convert(value: Any) -> Any:
        if isinstance(value, Some):
            return Some(lift(value.value))
        return None if value is None else lift(value)

    return convert


def _within_list(lift: Convert) -> Convert:
    return lambda values: [lift(value) for value in values]


def lower(value: Any) -> Any:
    """`value` with the resources in it made into handles. Used where a result type has handles in it."""
    if hasattr(type(value), _NAME):
        return Resource(value.to_bytes())
    if isinstance(value, Ok):
        return Ok(lower(value.value))
    if isinstance(value, Some):
        return Some(lower(value.value))
    if isinstance(value, Variant):
        return Variant(value.case, lower(value.payload))
    if isinstance(value, Record):
        return {name: lower(value[name]) for name in value}
    if dataclasses.is_dataclass(value) and not isinstance(value, Resource):
        return {each.name: lower(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: lower(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [lower(each) for each in value]
    return value


def mentions_handle(kind: wit.Type | None) -> bool:
    """Whether a value of the type can have a handle in it."""
    match kind:
        case wit.Handle():
            return True
        case wit.ListOf(inner) | wit.OptionOf(inner):
            return mentions_handle(inner)
        case wit.ResultOf(ok, err):
            return mentions_handle(ok) or mentions_handle(err)
        case wit.TupleOf(elements):
            return _any(elements)
        case wit.Record(fields):
            return _any(field.type for field in fields)
        case wit.Variant(cases):
            return _any(case.type for case in cases)
        case wit.MapOf(_, value):
            return mentions_handle(value)
        case _:
            return False


def _any(kinds: Iterable[wit.Type | None]) -> bool:
    return any(mentions_handle(kind) for kind in kinds)
