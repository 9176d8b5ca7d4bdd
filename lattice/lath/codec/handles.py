"""Handles of components' resources: what extension 2 carries, and where they stand in a function's values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgpack
from msgpack import ExtType

from lath.codec.values import COMPONENT_RESOURCE
from lath.codec.wire import unpack
from lath.errors import InvalidArgument
from lath.names import check_name, check_target
from lath.wit import types as wit

TOKEN_BYTES: Final = 16
"""128 random bits: whoever holds a token has been given it, so the token alone renews or drops a handle."""
TOKENS_MAX: Final = 10_000
"""In one message about handles: well below what a message may have."""
LEASE_SECONDS_MAX: Final = 24 * 3600
RENEWALS_PER_LEASE: Final = 3
"""By those who hold a handle: so that one may be lost, and another late."""


class ComponentHandle(NamedTuple):
    """A resource that lives in an instance of a component.

    On the wire it is extension 2 with the msgpack array `[component, instance, token, lease_seconds]`.

    Attributes:
        component: The component's id.
        instance: The instance of it that calls with the handle go to.
        token: Stands for the resource there. Unguessable.
        lease_seconds: How long the handle lives without a call or a renewal.
    """

    component: str
    instance: str
    token: bytes
    lease_seconds: int

    def to_wire(self) -> ExtType:
        """The wire value."""
        return ExtType(COMPONENT_RESOURCE, msgpack.packb(tuple(self)))

    @staticmethod
    def parse(data: bytes) -> ComponentHandle:
        """Reads what an extension 2 carries.

        Raises:
            InvalidArgument: It is not the handle of a component's resource; the message says why.
        """
        try:
            parts = msgpack.unpackb(data, use_list=True)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise InvalidArgument(f"a handle of a component's resource is malformed: {error}") from None
        match parts:
            case [str() as component, str() as instance, bytes() as token, int() as lease_seconds]:
                pass
            case _:
                raise InvalidArgument(
                    "a handle of a component's resource is malformed: "
                    "expected [component, instance, token, lease_seconds]"
                )
        if len(token) != TOKEN_BYTES:
            raise InvalidArgument(
                f"a handle of a component's resource has a token of {len(token)} bytes, not of {TOKEN_BYTES}"
            )
        if isinstance(lease_seconds, bool) or not 1 <= lease_seconds <= LEASE_SECONDS_MAX:
            raise InvalidArgument(
                f"a handle of a component's resource has a lease of {lease_seconds} s, "
                f"not of 1 to {LEASE_SECONDS_MAX}"
            )
        return ComponentHandle(
            check_target(component, "component"), check_name(instance, "instance"), token, lease_seconds
        )


def pack_tokens(tokens: Sequence[bytes]) -> bytes:
    """The payload of a message about handles; at most `TOKENS_MAX` of them."""
    packed: bytes = msgpack.packb(list(tokens))
    return packed


def parse_tokens(data: bytes) -> list[bytes]:
    """The tokens of the handles that a message is about.

    Raises:
        InvalidArgument: Malformed.
    """
    tokens = unpack(data)
    if not isinstance(tokens, list) or len(tokens) > TOKENS_MAX:
        raise InvalidArgument(f"expected an array of at most {TOKENS_MAX} tokens of handles")
    if any(not isinstance(token, bytes) or len(token) != TOKEN_BYTES for token in tokens):
        raise InvalidArgument(f"expected tokens of {TOKEN_BYTES} bytes")
    return tokens


class Found(NamedTuple):
    """A component's handle that stands in a value, and how it is passed there."""

    mode: str
    handle: ComponentHandle


def home_of(named: Iterable[Found], target: str) -> ComponentHandle | None:
    """The resource of `target` whose instance a call with these handles has to go to; None: any instance.

    Raises:
        InvalidArgument: They live in several instances.
    """
    at: ComponentHandle | None = None
    for _, handle in named:
        if handle.component != target:
            continue
        if at is not None and at.instance != handle.instance:
            raise InvalidArgument(
                f"the handles of one call must live in one instance of {target}; these live in "
                f"{at.instance} and {handle.instance}"
            )
        at = handle
    return at


FindHandles: TypeAlias = Callable[[Any], Iterator[Found]]


def component_handles_in_params(func: wit.Func) -> FindHandles | None:
    """A function that finds the components' handles in the wire values of the parameters of `func`.

    None where no parameter can have one. What it finds in a value that is not of the type is undefined; it
    raises `InvalidArgument` for a malformed handle.
    """
    return _finder(wit.TupleOf(tuple(param.type for param in func.params)))


def component_handles_in_result(func: wit.Func) -> FindHandles | None:
    """Likewise for the wire value of the result."""
    return _finder(func.result)


def _finder(kind: wit.Type | None) -> FindHandles | None:
    match kind:
        case wit.Handle(mode=mode):
            return lambda wire: _one(mode, wire)
        case wit.ListOf(inner):
            return _each(_finder(inner))
        case wit.MapOf(_, inner):
            find = _each(_finder(inner))
            return (
                None if find is None else lambda wire: find(wire.values() if isinstance(wire, dict) else ())
            )
        case wit.TupleOf(elements):
            return _positions([_finder(element) for element in elements])
        case wit.Record(fields):
            return _names({field.name: _finder(field.type) for field in fields})
        case wit.Variant(cases):
            return _names({case.name: _finder(case.type) for case in cases})
        case wit.ResultOf(ok, err):
            return _names({"ok": _finder(ok), "err": _finder(err)})
        case wit.OptionOf(inner):
            return _each(_finder(inner)) if kind.inner_may_be_nil else _finder(inner)
        case _:
            return None


def _one(mode: str, wire: Any) -> Iterator[Found]:
    if isinstance(wire, ExtType) and wire.code == COMPONENT_RESOURCE:
        yield Found(mode, ComponentHandle.parse(wire.data))


def _each(find: FindHandles | None) -> FindHandles | None:
    if find is None:
        return None
    return lambda wire: (found for each in wire or () for found in find(each))


def _positions(finds: Sequence[FindHandles | None]) -> FindHandles | None:
    there = [(index, find) for index, find in enumerate(finds) if find is not None]
    if not there:
        return None
    return lambda wire: (found for index, find in there if index < len(wire) for found in find(wire[index]))


def _names(finds: dict[str, FindHandles | None]) -> FindHandles | None:
    there = {name: find for name, find in finds.items() if find is not None}
    if not there:
        return None
    return lambda wire: (
        found for name, find in there.items() if name in (wire or ()) for found in find(wire[name])
    )
