"""WIT values as JSON, for people at a command line: parameters in, results out.

- list<u8>: text where it is printable UTF-8, else `{"base64": "…"}`; both are taken
- floats: a number, or "NaN", "Infinity", "-Infinity"
- record: an object; a field that is an option may be left out. Names in snake_case are taken too
- variant: `"case"` where it carries nothing, else `{"case": value}`
- enum: its name; flags: a list of names
- option: null or the value; where options nest, null or `[value]`
- result: `{"ok": value}` or `{"err": value}`
- map: an object where the keys are text, else a list of `[key, value]`
- own and borrow: `{"resource": "<base64>"}`, a component's `{"component-resource": "<base64>"}`
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgpack import ExtType

from lath.codec.decode import check_map_key, decoder, record_mismatch, variant_mismatch
from lath.codec.encode import encoder
from lath.codec.function import wrong_count
from lath.codec.mismatch import Mismatch, describe, expected
from lath.codec.values import COMPONENT_RESOURCE, PROVIDER_RESOURCE
from lath.codec.wire import RESOURCE_BYTES_MAX, Wire
from lath.wit import types as wit

Json: TypeAlias = Any
"""What `json.loads` gives."""

_RESOURCE_KEYS: Final = {PROVIDER_RESOURCE: "resource", COMPONENT_RESOURCE: "component-resource"}
_RESOURCE_EXTENSIONS: Final = {key: extension for extension, key in _RESOURCE_KEYS.items()}
_FLOAT_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters other than tab and line breaks: bytes with one are hardly text."""


def params_from_json(func: wit.Func, values: Sequence[Json]) -> list[Wire]:
    """The wire values of a call's parameters.

    Raises:
        InvalidArgument: A value does not fit its parameter, which the message names; or their number is
            wrong, and it shows the signature.
    """
    if len(values) != len(func.params):
        raise wrong_count(func, len(values))
    wire = []
    try:
        for param, value in zip(func.params, values, strict=True):
            wire.append(_from_json(param.type, value))
    except Mismatch as mismatch:
        raise mismatch.within(f"parameter {func.params[len(wire)].name!r}").as_error() from None
    return wire


def params_to_json(func: wit.Func, wire: Sequence[Wire]) -> list[Json]:
    """The parameters of a call as JSON.

    Raises:
        InvalidArgument: A wire value does not fit its parameter, or their number is wrong.
    """
    if len(wire) != len(func.params):
        raise wrong_count(func, len(wire))
    return [
        _checked_to_json(param.type, value, f"parameter {param.name!r}")
        for param, value in zip(func.params, wire, strict=True)
    ]


def result_to_json(func: wit.Func, wire: Wire) -> Json:
    """The result of a call as JSON; None where the function has none.

    Raises:
        InvalidArgument: The wire value does not fit the signature.
    """
    return None if func.result is None else _checked_to_json(func.result, wire, "result")


def value_from_json(kind: wit.Type, value: Json) -> Wire:
    """The wire value of one value. Raises `InvalidArgument` when it does not fit."""
    try:
        return _from_json(kind, value)
    except Mismatch as mismatch:
        raise mismatch.as_error() from None


def value_to_json(kind: wit.Type, wire: Wire) -> Json:
    """One value as JSON. Raises `InvalidArgument` when it does not fit."""
    return _checked_to_json(kind, wire, "value")


# From JSON


def _from_json(kind: wit.Type, value: Json) -> Wire:
    match kind:
        case wit.Primitive("f32" | "f64"):
            number = _FLOAT_WORDS.get(value, value) if isinstance(value, str) else value
            return encoder(kind)(number)
        case wit.Primitive() | wit.Enum():
            return encoder(kind)(value)
        case wit.ListOf() if kind.is_bytes:
            return _bytes_from_json(value)
        case wit.ListOf(element):
            return [_part(element, each, f"element {n}") for n, each in enumerate(_array(value, "a list"))]
        case wit.TupleOf(elements):
            return _tuple_from_json(elements, value)
        case wit.MapOf():
            return _map_from_json(kind, value)
        case wit.Record():
            return _record_from_json(kind, value)
        case wit.Variant():
            return _variant_from_json(kind, value)
        case wit.Flags():
            return encoder(kind)(_array(value, "a list of flags"))
        case wit.OptionOf(inner):
            return _option_from_json(kind, inner, value)
        case wit.ResultOf():
            return _result_from_json(kind, value)
        case wit.Handle():
            return _handle_from_json(kind, value)


def _part(kind: wit.Type | None, value: Json, place: str) -> Wire:
    """A value inside another one."""
    try:
        if kind is not None:
            return _from_json(kind, value)
        if value is not None:
            raise expected("null (this case carries no value)", value)
        return None
    except Mismatch as mismatch:
        raise mismatch.within(place) from None


def _array(value: Json, what: str) -> list[Json]:
    if isinstance(value, list):
        return value
    raise expected(what, value)


def _bytes_from_json(value: Json) -> bytes:
    if isinstance(value, str):
        encoder(wit.Primitive("string"))(value)
        return value.encode()
    if isinstance(value, dict) and list(value) == ["base64"]:
        return _base64(value["base64"])
    raise expected('list<u8> (text, or {"base64": "…"})', value)


def _base64(value: Json) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise expected("base64", value) from None


def _tuple_from_json(elements: Sequence[wit.Type], value: Json) -> list[Wire]:
    values = _array(value, f"a tuple (a list of {len(elements)})")
    if len(values) != len(elements):
        raise expected(f"a tuple (a list of {len(elements)})", value)
    return [
        _part(element, each, f"element {n}")
        for n, (element, each) in enumerate(zip(elements, values, strict=True))
    ]


def _map_from_json(kind: wit.MapOf, value: Json) -> dict[Any, Wire]:
    check_map_key(kind)
    if _has_text_keys(kind):
        if not isinstance(value, dict):
            raise expected("a map (an object)", value)
        pairs = list(value.items())
    else:
        pairs = [_pair(each) for each in _array(value, "a map (a list of [key, value])")]
    wire: dict[Any, Wire] = {}
    for key, each in pairs:
        place = f"key {describe(key)}"
        name = _part(kind.key, key, place)
        if name in wire:
            raise Mismatch(f"the key {describe(key)} stands there twice")
        wire[name] = _part(kind.value, each, place)
    return wire


def _pair(value: Json) -> tuple[Json, Json]:
    if isinstance(value, list) and len(value) == 2:
        return value[0], value[1]
    raise expected("a list [key, value]", value)


def _record_from_json(kind: wit.Record, value: Json) -> dict[str, Wire]:
    if not isinstance(value, dict):
        raise record_mismatch(kind, value)
    names = {each.name.replace("-", "_"): each.name for each in kind.fields}
    names |= {each.name: each.name for each in kind.fields}
    given = {names.get(name, name): each for name, each in value.items()}
    for each in kind.fields:
        if isinstance(each.type, wit.OptionOf):
            given.setdefault(each.name, None)
    if given.keys() != set(names.values()):
        raise record_mismatch(kind, given)
    return {each.name: _part(each.type, given[each.name], f"field {each.name!r}") for each in kind.fields}


def _variant_from_json(kind: wit.Variant, value: Json) -> dict[str, Wire]:
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, dict) or len(value) != 1:
        raise variant_mismatch(kind, value)
    ((name, payload),) = value.items()
    for case in kind.cases:
        if name in (case.name, case.name.replace("-", "_")):
            return {case.name: _part(case.type, payload, f"case {case.name!r}")}
    raise variant_mismatch(kind, value)


def _option_from_json(kind: wit.OptionOf, inner: wit.Type, value: Json) -> Wire:
    if value is None:
        return None
    if not kind.inner_may_be_nil:
        return _from_json(inner, value)
    if isinstance(value, list) and len(value) == 1:
        return [_from_json(inner, value[0])]
    raise expected("null, or a list of the one value (an option within an option)", value)


def _result_from_json(kind: wit.ResultOf, value: Json) -> dict[str, Wire]:
    if isinstance(value, dict) and len(value) == 1:
        ((side, payload),) = value.items()
        if side in ("ok", "err"):
            return {side: _part(kind.ok if side == "ok" else kind.err, payload, side)}
    raise expected('a result ({"ok": …} or {"err": …})', value)


def _handle_from_json(kind: wit.Handle, value: Json) -> ExtType:
    if isinstance(value, dict) and len(value) == 1:
        ((key, data),) = value.items()
        if key in _RESOURCE_EXTENSIONS:
            resource = _base64(data)
            if len(resource) > RESOURCE_BYTES_MAX:
                raise Mismatch(f"a handle of {len(resource)} bytes; at most {RESOURCE_BYTES_MAX} are allowed")
            return ExtType(_RESOURCE_EXTENSIONS[key], resource)
    raise expected(
        f'a handle to a {kind.resource} ({{"resource": "<base64>"}} or {{"component-resource": "<base64>"}})',
        value,
    )


# To JSON


def _checked_to_json(kind: wit.Type, wire: Wire, place: str) -> Json:
    try:
        decoder(kind)(wire)
    except Mismatch as mismatch:
        raise mismatch.within(place).as_error() from None
    return _to_json(kind, wire)


def _to_json(kind: wit.Type | None, wire: Wire) -> Json:
    """The value is known to fit its type."""
    match kind:
        case wit.Primitive("f32" | "f64"):
            return _float_to_json(float(wire))
        case wit.ListOf() if kind.is_bytes:
            return _bytes_to_json(wire)
        case wit.ListOf(element):
            return [_to_json(element, each) for each in wire]
        case wit.TupleOf(elements):
            return [_to_json(element, each) for element, each in zip(elements, wire, strict=True)]
        case wit.MapOf(_, value):
            pairs = [(key, _to_json(value, each)) for key, each in wire.items()]
            return dict(pairs) if _has_text_keys(kind) else [list(pair) for pair in pairs]
        case wit.Record(fields):
            return {each.name: _to_json(each.type, wire[each.name]) for each in fields}
        case wit.Variant(cases):
            return _variant_to_json(cases, wire)
        case wit.OptionOf(inner) if wire is not None:
            return [_to_json(inner, wire[0])] if kind.inner_may_be_nil else _to_json(inner, wire)
        case wit.ResultOf(ok, err):
            ((side, payload),) = wire.items()
            return {side: _to_json(ok if side == "ok" else err, payload)}
        case wit.Handle():
            return {_RESOURCE_KEYS[wire.code]: base64.b64encode(wire.data).decode()}
        case _:
            return wire


def _variant_to_json(cases: Sequence[wit.Case], wire: Mapping[str, Wire]) -> Json:
    ((name, payload),) = wire.items()
    kind = next(case.type for case in cases if case.name == name)
    return name if kind is None else {name: _to_json(kind, payload)}


def _float_to_json(number: float) -> Json:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _bytes_to_json(data: bytes) -> Json:
    text: str | None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or _UNPRINTABLE.search(text):
        return {"base64": base64.b64encode(data).decode()}
    return text


def _has_text_keys(kind: wit.MapOf) -> bool:
    return isinstance(kind.key, wit.Primitive) and kind.key.kind in ("string", "char")
