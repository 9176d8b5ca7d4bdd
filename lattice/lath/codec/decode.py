"""From the wire to Python: each type becomes, once, a closure that checks a wire value and converts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgpack import ExtType

from lath.codec.mismatch import Mismatch, describe, expected
from lath.codec.primitives import MAP_KEYS, Closure, checker
from lath.codec.values import Err, Ok, Record, Resource, Some, Variant, python_name
from lath.errors import InvalidArgument
from lath.names import shown
from lath.wit import types as wit
from lath.wit.text import type_text


def decoder(kind: wit.Type) -> Closure:
    """A closure from a wire value of the type `kind` to its friendly form. It raises `Mismatch`.

    Raises:
        InvalidArgument: The type itself cannot travel (a map with keys that have no equality).
    """
    match kind:
        case wit.Primitive(name):
            return checker(name)
        case wit.ListOf() if kind.is_bytes:
            return _bytes
        case wit.ListOf(element):
            return _list(decoder(element))
        case wit.MapOf():
            return _map(kind)
        case wit.TupleOf(elements):
            return _tuple([decoder(each) for each in elements])
        case wit.Record():
            return _record(kind)
        case wit.Variant():
            return _variant(kind)
        case wit.Enum():
            return _enum(kind)
        case wit.Flags():
            return _flags(kind)
        case wit.OptionOf(inner):
            return _nested_option(decoder(inner)) if kind.inner_may_be_nil else _option(decoder(inner))
        case wit.ResultOf(ok, err):
            return _result(decoder(ok) if ok else _nothing, decoder(err) if err else _nothing)
        case wit.Handle(resource=resource):
            return _handle(resource)


def check_map_key(kind: wit.MapOf) -> None:
    """Raises `InvalidArgument` when the keys of a map type cannot be keys."""
    if not (isinstance(kind.key, wit.Primitive) and kind.key.kind in MAP_KEYS):
        raise InvalidArgument(
            f"map<{type_text(kind.key)}, …> cannot travel: keys are integers, bool, char or string"
        )


def _nothing(wire: Any) -> None:
    if wire is not None:
        raise expected("nothing (this case carries no value)", wire)


def _bytes(wire: Any) -> bytes:
    if type(wire) is bytes:
        return wire
    raise expected("list<u8> (bytes)", wire)


def _list(element: Closure) -> Closure:
    def decode(wire: Any) -> list[Any]:
        if type(wire) is not list:
            raise expected("a list", wire)
        done: list[Any] = []
        append = done.append
        try:
            for each in wire:
                append(element(each))
        except Mismatch as mismatch:
            raise mismatch.within(f"element {len(done)}") from None
        return done

    return decode


def _map(kind: wit.MapOf) -> Closure:
    check_map_key(kind)
    key, value = decoder(kind.key), decoder(kind.value)

    def decode(wire: Any) -> dict[Any, Any]:
        if type(wire) is not dict:
            raise expected("a map", wire)
        done = {}
        for name, each in wire.items():
            try:
                done[key(name)] = value(each)
            except Mismatch as mismatch:
                raise mismatch.within(f"key {describe(name)}") from None
        return done

    return decode


def _tuple(elements: Sequence[Closure]) -> Closure:
    count = len(elements)

    def decode(wire: Any) -> tuple[Any, ...]:
        if type(wire) is not list or len(wire) != count:
            raise expected(f"a tuple of {count}", wire)
        done: list[Any] = []
        try:
            for element, each in zip(elements, wire, strict=True):
                done.append(element(each))
        except Mismatch as mismatch:
            raise mismatch.within(f"element {len(done)}") from None
        return tuple(done)

    return decode


def _record(kind: wit.Record) -> Closure:
    fields = [(each.name, python_name(each.name), decoder(each.type)) for each in kind.fields]
    names = frozenset(each.name for each in kind.fields)
    make = Record.__new__

    def decode(wire: Any) -> Record:
        if type(wire) is not dict or wire.keys() != names:
            raise record_mismatch(kind, wire)
        done = {}
        try:
            for name, attribute, field in fields:
                done[attribute] = field(wire[name])
        except Mismatch as mismatch:
            raise mismatch.within(f"field {name!r}") from None
        record = make(Record)
        record.__dict__ = done
        return record

    return decode


def record_mismatch(kind: wit.Record, wire: Any) -> Mismatch:
    """Says which fields of a record are missing and which are too many."""
    names = [each.name for each in kind.fields]
    if type(wire) is not dict:
        return expected(f"a record with the fields {', '.join(names)}", wire)
    missing = [name for name in names if name not in wire]
    if missing:
        return Mismatch(f"the field {missing[0]!r} of the record is missing")
    unknown = next(name for name in wire if name not in names)
    return Mismatch(f"the record has no field {shown(unknown)}, only {', '.join(names)}")


def _variant(kind: wit.Variant) -> Closure:
    cases = {case.name: decoder(case.type) if case.type else _nothing for case in kind.cases}

    def decode(wire: Any) -> Variant:
        if type(wire) is dict and len(wire) == 1:
            ((name, payload),) = wire.items()
            case = cases.get(name)
            if case is not None:
                try:
                    return Variant(name, case(payload))
                except Mismatch as mismatch:
                    raise mismatch.within(f"case {name!r}") from None
        raise variant_mismatch(kind, wire)

    return decode


def variant_mismatch(kind: wit.Variant, wire: Any) -> Mismatch:
    """Names the cases that a variant has, and the one that came."""
    cases = f"one of the cases {', '.join(case.name for case in kind.cases)}"
    if type(wire) is dict and len(wire) == 1:
        return Mismatch(f"expected {cases}, got {shown(next(iter(wire)))}")
    return expected(cases, wire)


def _enum(kind: wit.Enum) -> Closure:
    names = frozenset(kind.cases)

    def decode(wire: Any) -> str:
        if type(wire) is str and wire in names:
            return wire
        raise expected(f"one of {', '.join(kind.cases)}", wire)

    return decode


def _flags(kind: wit.Flags) -> Closure:
    labels = frozenset(kind.labels)

    def decode(wire: Any) -> frozenset[str]:
        if type(wire) is not list:
            raise expected("a list of flags", wire)
        for each in wire:
            if type(each) is not str or each not in labels:
                raise expected(f"flags out of {', '.join(kind.labels)}", each)
        done = frozenset(wire)
        if len(done) != len(wire):
            raise Mismatch("a flag stands there twice")
        return done

    return decode


def _option(inner: Closure) -> Closure:
    def decode(wire: Any) -> Any:
        return None if wire is None else inner(wire)

    return decode


def _nested_option(inner: Closure) -> Closure:
    def decode(wire: Any) -> Some[Any] | None:
        if wire is None:
            return None
        if type(wire) is list and len(wire) == 1:
            return Some(inner(wire[0]))
        raise expected("none, or a list of the one value (an option within an option)", wire)

    return decode


def _result(ok: Closure, err: Closure) -> Closure:
    def decode(wire: Any) -> Ok[Any] | Err[Any]:
        if type(wire) is dict and len(wire) == 1:
            ((side, value),) = wire.items()
            try:
                if side == "ok":
                    return Ok(ok(value))
                if side == "err":
                    return Err(err(value))
            except Mismatch as mismatch:
                raise mismatch.within(side) from None
        raise expected("a result ({'ok': …} or {'err': …})", wire)

    return decode


def _handle(resource: str) -> Closure:
    def decode(wire: Any) -> Resource:
        if type(wire) is ExtType:
            return Resource(wire.data, wire.code)
        raise expected(f"a handle to a {resource}", wire)

    return decode
