"""Whether wire values are small enough to be sent, without packing them: for calls that stay in one process.

Each type becomes, once, an upper bound of its packed size: a number, or a closure that looks at lengths. Only
what its bound does not clear is packed, so the answer is the one that the bus would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from lath.codec.packer import wire_packer
from lath.codec.wire import ARRAY_ITEMS_MAX, MAP_ITEMS_MAX, PAYLOAD_BYTES_MAX, RESOURCE_BYTES_MAX, Wire
from lath.errors import InvalidArgument
from lath.wit import types as wit

Check: TypeAlias = Callable[[Wire], None]
_Measure: TypeAlias = Callable[[Any], int]
_Bound: TypeAlias = int | _Measure

_HEAD_BYTES: Final = 5
"""The most that msgpack writes before the contents of a string, bytes, array or map."""
_NUMBER_BYTES: Final = 9
_HANDLE_BYTES: Final = 6 + RESOURCE_BYTES_MAX
_UTF8_BYTES_MAX: Final = 4


def size_check(types: wit.Type | Sequence[wit.Type] | None) -> Check | None:
    """A function that refuses wire values which could not be sent; None where no value can be too large.

    Args:
        types: A type: the function takes a value of it. A sequence, as of parameters: it takes their list.

    The function raises `PayloadTooLarge` above `PAYLOAD_BYTES_MAX`, and `InvalidArgument` for a list or map
    of more items than a receiver takes.
    """
    if types is None:
        return None
    kind = wit.TupleOf(tuple(types)) if isinstance(types, Sequence) else types
    bound = _bound(kind)
    if isinstance(bound, int) and bound <= PAYLOAD_BYTES_MAX:
        return None
    measure: _Measure = (lambda value: bound) if isinstance(bound, int) else bound
    pack = wire_packer(types)

    def check(value: Wire) -> None:
        if measure(value) > PAYLOAD_BYTES_MAX:
            pack(value)

    return check


def _bound(kind: wit.Type | None) -> _Bound:
    match kind:
        case None:
            return 1
        case wit.Primitive("string"):
            return _string
        case wit.Primitive():
            return _NUMBER_BYTES
        case wit.ListOf() if kind.is_bytes:
            return _bytes
        case wit.ListOf(element):
            return _list(_bound(element))
        case wit.MapOf(key, value):
            return _map(_bound(key), _bound(value))
        case wit.TupleOf(elements):
            return _parts(enumerate(map(_bound, elements)), _HEAD_BYTES)
        case wit.Record(fields):
            names = sum(_HEAD_BYTES + len(field.name) for field in fields)
            return _parts([(field.name, _bound(field.type)) for field in fields], _HEAD_BYTES + names)
        case wit.Variant(cases):
            return _tagged({case.name: _bound(case.type) for case in cases})
        case wit.ResultOf(ok, err):
            return _tagged({"ok": _bound(ok), "err": _bound(err)})
        case wit.Enum(names):
            return _HEAD_BYTES + max(map(len, names))
        case wit.Flags(labels):
            return _HEAD_BYTES + sum(_HEAD_BYTES + len(label) for label in labels)
        case wit.OptionOf(inner):
            return _option(_bound(inner), nested=kind.inner_may_be_nil)
        case wit.Handle():
            return _HANDLE_BYTES


def _string(value: str) -> int:
    return _HEAD_BYTES + _UTF8_BYTES_MAX * len(value)


def _bytes(value: bytes) -> int:
    return _HEAD_BYTES + len(value)


def _list(element: _Bound) -> _Measure:
    def measure(value: list[Any]) -> int:
        count = len(value)
        if count > ARRAY_ITEMS_MAX:
            raise InvalidArgument(f"a list of {count} items is above the limit of {ARRAY_ITEMS_MAX}")
        return _HEAD_BYTES + (count * element if isinstance(element, int) else sum(map(element, value)))

    return measure


def _map(key: _Bound, item: _Bound) -> _Measure:
    def measure(value: dict[Any, Any]) -> int:
        count = len(value)
        if count > MAP_ITEMS_MAX:
            raise InvalidArgument(f"a map of {count} entries is above the limit of {MAP_ITEMS_MAX}")
        keys = count * key if isinstance(key, int) else sum(map(key, value))
        return (
            _HEAD_BYTES + keys + (count * item if isinstance(item, int) else sum(map(item, value.values())))
        )

    return measure


def _parts(parts: Iterable[tuple[Any, _Bound]], fixed: int) -> _Bound:
    """Of a record or tuple: what is the same for all values is summed up once."""
    measured: list[tuple[Any, _Measure]] = []
    for at, bound in parts:
        if isinstance(bound, int):
            fixed += bound
        else:
            measured.append((at, bound))
    if not measured:
        return fixed
    if len(measured) == 1:
        at, only = measured[0]
        return lambda value: fixed + only(value[at])

    def measure(value: Any) -> int:
        total = fixed
        for at, bound in measured:
            total += bound(value[at])
        return total

    return measure


def _tagged(cases: dict[str, _Bound]) -> _Bound:
    """Of a variant or result: a map of one entry."""
    fixed = 1 + _HEAD_BYTES + max(map(len, cases))
    if all(isinstance(bound, int) for bound in cases.values()):
        return fixed + max(bound for bound in cases.values() if isinstance(bound, int))

    def measure(value: dict[str, Any]) -> int:
        ((name, payload),) = value.items()
        bound = cases[name]
        return fixed + (bound if isinstance(bound, int) else bound(payload))

    return measure


def _option(inner: _Bound, *, nested: bool) -> _Bound:
    if isinstance(inner, int):
        return 1 + inner
    if nested:
        return lambda value: 2 if value is None else 1 + inner(value[0])
    return lambda value: 1 if value is None else inner(value)
