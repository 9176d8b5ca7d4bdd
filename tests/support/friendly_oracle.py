"""The friendly form of a wire value, written out plainly: an oracle for the codec's own closures."""

from __future__ import annotations

from typing import Any

from lath.codec import Err, Ok, Record, Resource, Some, Variant, python_name
from lath.wit import types as wit


def friendly(kind: wit.Type | None, wire: Any) -> Any:
    """What `FuncCodec` must make of `wire`."""
    match kind:
        case wit.ListOf(element) if not kind.is_bytes:
            return [friendly(element, each) for each in wire]
        case wit.MapOf(_, value):
            return {key: friendly(value, each) for key, each in wire.items()}
        case wit.TupleOf(elements):
            return tuple(friendly(element, each) for element, each in zip(elements, wire, strict=True))
        case wit.Record(fields):
            return Record(**{python_name(f.name): friendly(f.type, wire[f.name]) for f in fields})
        case wit.Variant(cases):
            ((name, payload),) = wire.items()
            return Variant(name, friendly(next(case.type for case in cases if case.name == name), payload))
        case wit.Flags():
            return frozenset(wire)
        case wit.OptionOf(inner) if wire is not None:
            return Some(friendly(inner, wire[0])) if kind.inner_may_be_nil else friendly(inner, wire)
        case wit.ResultOf(ok, err):
            return Ok(friendly(ok, wire["ok"])) if "ok" in wire else Err(friendly(err, wire["err"]))
        case wit.Handle():
            return Resource(wire.data, wire.code)
        case _:
            return wire
