"""From Python to the wire: each type becomes, once, a closure that checks a friendly value and converts it.

It takes what `decode` gives, and what is at hand where values are made: dataclasses, pydantic models, named
tuples and mappings for records, members of `enum.Enum` by their values, any iterable for lists and flags.
"""

from __future__ import annotations

import dataclasses
import enum
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgpack import ExtType
from pydantic import BaseModel

from lath.codec.decode import check_map_key, record_mismatch, variant_mismatch
from lath.codec.mismatch import Mismatch, describe, expected
from lath.codec.primitives import INTEGER_RANGES, Closure, checker, integer_words
from lath.codec.values import Err, Ok, Record, Resource, Some, Variant, python_name
from lath.codec.wire import RESOURCE_BYTES_MAX
from lath.wit import types as wit


def encoder(kind: wit.Type) -> Closure:
    """A closure from a friendly value of the type `kind` to its wire value. It raises `Mismatch`.

    Raises:
        InvalidArgument: The type itself cannot travel (a map with keys that have no equality).
    """
    match kind:
        case wit.Primitive(name):
            return _primitive(name)
        case wit.ListOf() if kind.is_bytes:
            return _bytes
        case wit.ListOf(element):
            return _list(encoder(element))
        case wit.MapOf():
            return _map(kind)
        case wit.TupleOf(elements):
            return _tuple([encoder(each) for each in elements])
        case wit.Record():
            return _record(kind)
        case wit.Variant():
            return _variant(kind)
        case wit.Enum():
            return _enum(kind)
        case wit.Flags():
            return _flags(kind)
        case wit.OptionOf(inner):
            return _nested_option(encoder(inner)) if kind.inner_may_be_nil else _option(encoder(inner))
        case wit.ResultOf(ok, err):
            return _result(encoder(ok) if ok else _nothing, encoder(err) if err else _nothing)
        case wit.Handle(resource=resource):
            return _handle(resource)


def _nothing(value: Any) -> None:
    if value is not None:
        raise expected("None (this case carries no value)", value)


def _primitive(kind: wit.PrimitiveKind) -> Closure:
    if kind in INTEGER_RANGES:
        return _integer(kind)
    match kind:
        case "string":
            return _string
        case "f32" | "f64":
            return _float(kind)
        case "char":
            return _plain_text(checker("char"))
        case _:
            return checker(kind)


def _integer(kind: str) -> Closure:
    low, high = INTEGER_RANGES[kind]
    words = integer_words(kind)

    def encode(value: Any) -> int:
        if type(value) is int and low <= value <= high:
            return value
        if not isinstance(value, bool):  # an IntEnum's member, or an integer of an array library
            try:
                number = operator.index(value)
            except TypeError:
                pass
            else:
                if low <= number <= high:
                    return number
        raise expected(words, value)

    return encode


def _float(kind: wit.PrimitiveKind) -> Closure:
    check = checker(kind)

    def encode(value: Any) -> Any:
        if type(value) is not float and isinstance(value, float):
            return check(float(value))
        return check(value)

    return encode


def _plain_text(check: Closure) -> Closure:
    def encode(value: Any) -> Any:
        if type(value) is not str and isinstance(value, str):
            return check(str.__str__(value))
        return check(value)

    return encode


def _string(value: Any) -> str:
    if type(value) is not str:
        if not isinstance(value, str):
            raise expected("string", value)
        value = str.__str__(value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Mismatch(
                f"expected string, got one with a lone surrogate at position {error.start}"
            ) from None
    return value  # type: ignore[no-any-return]  # narrowed to str above


def _bytes(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise expected("list<u8> (bytes)", value)


def _list(element: Closure) -> Closure:
    def encode(value: Any) -> list[Any]:
        if not isinstance(value, Iterable) or isinstance(value, str | bytes | bytearray | Mapping):
            raise expected("a list", value)
        done: list[Any] = []
        append = done.append
        try:
            for each in value:
                append(element(each))
        except Mismatch as mismatch:
            raise mismatch.within(f"element {len(done)}") from None
        return done

    return encode


def _map(kind: wit.MapOf) -> Closure:
    check_map_key(kind)
    key, value = encoder(kind.key), encoder(kind.value)

    def encode(mapping: Any) -> dict[Any, Any]:
        if not isinstance(mapping, Mapping):
            raise expected("a map", mapping)
        done = {}
        for name, each in mapping.items():
            try:
                done[key(name)] = value(each)
            except Mismatch as mismatch:
                raise mismatch.within(f"key {describe(name)}") from None
        return done

    return encode


def _tuple(elements: Sequence[Closure]) -> Closure:
    count = len(elements)

    def encode(value: Any) -> list[Any]:
        if not isinstance(value, tuple | list) or len(value) != count:
            raise expected(f"a tuple of {count}", value)
        done: list[Any] = []
        try:
            for element, each in zip(elements, value, strict=True):
                done.append(element(each))
        except Mismatch as mismatch:
            raise mismatch.within(f"element {len(done)}") from None
        return done

    return encode


def _record(kind: wit.Record) -> Closure:
    fields = [(each.name, python_name(each.name), encoder(each.type)) for each in kind.fields]
    attributes = frozenset(attribute for _, attribute, _ in fields)
    names = {each.name: python_name(each.name) for each in kind.fields}

    def encode(value: Any) -> dict[str, Any]:
        given = value.__dict__ if type(value) is Record else _fields_of(value, kind)
        if given.keys() != attributes:
            given = {names.get(name, name): each for name, each in given.items()}
            if given.keys() != attributes:
                raise record_mismatch(kind, _by_wit_names(given, names))
        done = {}
        try:
            for name, attribute, field in fields:
                done[name] = field(given[attribute])
        except Mismatch as mismatch:
            raise mismatch.within(f"field {name!r}") from None
        return done

    return encode


def _fields_of(value: Any, kind: wit.Record) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, BaseModel | Record):
        return value.__dict__
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()  # type: ignore[no-any-return]  # a named tuple
    raise record_mismatch(kind, value)


def _by_wit_names(given: Mapping[Any, Any], names: Mapping[str, str]) -> dict[Any, Any]:
    wit_names = {python: name for name, python in names.items()}
    return {wit_names.get(name, name): each for name, each in given.items()}


def _variant(kind: wit.Variant) -> Closure:
    cases: dict[str, tuple[str, Closure]] = {}
    for case in kind.cases:
        entry = (case.name, encoder(case.type) if case.type else _nothing)
        cases.setdefault(case.name.replace("-", "_"), entry)
        cases[case.name] = entry

    def encode(value: Any) -> dict[str, Any]:
        name, payload = _case_of(value, kind)
        entry = cases.get(name)
        if entry is None:
            raise variant_mismatch(kind, {name: None})
        try:
            return {entry[0]: entry[1](payload)}
        except Mismatch as mismatch:
            raise mismatch.within(f"case {entry[0]!r}") from None

    return encode


def _case_of(value: Any, kind: wit.Variant) -> tuple[str, Any]:
    """The case and the payload: of a `Variant`, of `{case: payload}`, of a case without payload by name."""
    if type(value) is Variant:
        return value.case, value.payload
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return value, None
    if isinstance(value, Mapping) and len(value) == 1:
        name, payload = next(iter(value.items()))
        return name, payload
    raise variant_mismatch(kind, value)


def _names(names: Sequence[str]) -> dict[Any, str]:
    """WIT names by themselves and by their form in snake_case."""
    return {name.replace("-", "_"): name for name in names} | {name: name for name in names}


def _enum(kind: wit.Enum) -> Closure:
    names = _names(kind.cases)

    def encode(value: Any) -> str:
        plain = value.value if isinstance(value, enum.Enum) else value
        name = names.get(plain) if isinstance(plain, str) else None
        if name is None:
            raise expected(f"one of {', '.join(kind.cases)}", plain)
        return name

    return encode


def _flags(kind: wit.Flags) -> Closure:
    names = _names(kind.labels)
    order = {label: position for position, label in enumerate(kind.labels)}

    def encode(value: Any) -> list[str]:
        if not isinstance(value, Iterable) or isinstance(value, str | bytes | bytearray | Mapping):
            raise expected("a set of flags", value)
        labels = set()
        for each in value:
            plain = each.value if isinstance(each, enum.Enum) else each
            label = names.get(plain) if isinstance(plain, str) else None
            if label is None:
                raise expected(f"flags out of {', '.join(kind.labels)}", plain)
            labels.add(label)
        return sorted(labels, key=order.__getitem__)

    return encode


def _option(inner: Closure) -> Closure:
    def encode(value: Any) -> Any:
        if value is None:
            return None
        return inner(value.value if type(value) is Some else value)

    return encode


def _nested_option(inner: Closure) -> Closure:
    def encode(value: Any) -> list[Any] | None:
        if value is None:
            return None
        if type(value) is Some:
            return [inner(value.value)]
        raise expected("None or Some(value) (an option within an option)", value)

    return encode


def _result(ok: Closure, err: Closure) -> Closure:
    def encode(value: Any) -> dict[str, Any]:
        try:
            if type(value) is Ok:
                return {"ok": ok(value.value)}
            if type(value) is Err:
                return {"err": err(value.error)}
        except Mismatch as mismatch:
            raise mismatch.within("ok" if type(value) is Ok else "err") from None
        raise expected("Ok(value) or Err(error)", value)

    return encode


def _handle(resource: str) -> Closure:
    def encode(value: Any) -> ExtType:
        if not isinstance(value, Resource):
            raise expected(f"a Resource (a handle to a {resource})", value)
        if len(value.data) > RESOURCE_BYTES_MAX:
            raise Mismatch(f"a handle of {len(value.data)} bytes; at most {RESOURCE_BYTES_MAX} are allowed")
        return ExtType(value.extension, value.data)

    return encode
