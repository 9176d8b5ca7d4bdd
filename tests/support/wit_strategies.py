"""Hypothesis strategies for WIT: random types, signatures, and the wire values that belong to a type.

`types()` draws a type, `wire_values(type)` a value of it as it travels (DESIGN.md's WIT <-> msgpack table).
Sizes are kept small: what matters is how kinds nest, not how long a list is.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from msgpack import ExtType

from lath.wit.types import (
    FLAGS_MAX,
    Case,
    Enum,
    Field,
    Flags,
    Func,
    Handle,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    PrimitiveKind,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)

Wire = Any

steady = settings(
    max_examples=50,
    deadline=None,  # drawing a type may take long on a busy machine
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""For tests that draw types: `@steady` above `@given(…)`."""

INTEGER_RANGES: Final[dict[PrimitiveKind, tuple[int, int]]] = {
    "u8": (0, 2**8 - 1),
    "s8": (-(2**7), 2**7 - 1),
    "u16": (0, 2**16 - 1),
    "s16": (-(2**15), 2**15 - 1),
    "u32": (0, 2**32 - 1),
    "s32": (-(2**31), 2**31 - 1),
    "u64": (0, 2**64 - 1),
    "s64": (-(2**63), 2**63 - 1),
}
PRIMITIVES: Final[tuple[PrimitiveKind, ...]] = (
    "bool", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "char", "string",
)  # fmt: skip
MAP_KEYS: Final[tuple[PrimitiveKind, ...]] = tuple(k for k in PRIMITIVES if k not in ("f32", "f64"))

wit_ids = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z][a-z0-9]{0,5}){0,2}", fullmatch=True)
"""Identifiers in lower case; keywords may occur, as `%` can escape them in WIT text."""


def unique_ids(at_most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(wit_ids, min_size=1, max_size=at_most, unique=True)


primitives = st.sampled_from(PRIMITIVES).map(Primitive)
enums = unique_ids(5).map(lambda names: Enum(tuple(names)))
flags = st.one_of(
    unique_ids(5).map(lambda names: Flags(tuple(names))),
    st.just(Flags(tuple(f"flag-{n}" for n in range(FLAGS_MAX)))),
)
handles = st.builds(Handle, st.sampled_from(["own", "borrow"]), st.sampled_from(["bucket", "cursor"]))


def _fields(inner: st.SearchStrategy[Type], at_most: int = 4) -> st.SearchStrategy[tuple[Field, ...]]:
    return unique_ids(at_most).flatmap(
        lambda names: st.tuples(*(st.builds(Field, st.just(name), inner) for name in names))
    )


def _cases(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[tuple[Case, ...]]:
    payload = st.none() | inner
    return unique_ids(4).flatmap(
        lambda names: st.tuples(*(st.builds(Case, st.just(name), payload) for name in names))
    )


def _containers(inner: st.SearchStrategy[Type], maps: bool) -> st.SearchStrategy[Type]:
    kinds: list[st.SearchStrategy[Type]] = [
        inner.map(ListOf),
        st.lists(inner, min_size=1, max_size=4).map(lambda elements: TupleOf(tuple(elements))),
        _fields(inner).map(Record),
        _cases(inner).map(Variant),
        inner.map(OptionOf),
        st.builds(ResultOf, st.none() | inner, st.none() | inner),
    ]
    if maps:
        kinds.append(st.builds(MapOf, st.sampled_from(MAP_KEYS).map(Primitive), inner))
    return st.one_of(kinds)


def types(*, maps: bool = True, with_handles: bool = False, leaves_max: int = 8) -> st.SearchStrategy[Type]:
    """A random type.

    Args:
        maps: Whether `map<key, value>` may occur (its keys are never floats).
        with_handles: Whether `own` and `borrow` may occur.
        leaves_max: About how many leaves one type may have.
    """
    leaves: st.SearchStrategy[Type] = st.one_of(primitives, enums, flags, st.just(ListOf(Primitive("u8"))))
    if with_handles:
        leaves = leaves | handles
    return st.recursive(leaves, lambda inner: _containers(inner, maps), max_leaves=leaves_max)


def funcs(*, maps: bool = True, with_handles: bool = False) -> st.SearchStrategy[Func]:
    """A random signature of none to four parameters."""
    one = types(maps=maps, with_handles=with_handles)
    return st.builds(Func, st.just(()) | _fields(one), st.none() | one)


def wire_values(kind: Type, *, nan: bool = False) -> st.SearchStrategy[Wire]:
    """A random wire value of the type `kind`.

    Args:
        kind: The type.
        nan: Whether floats may be NaN, which equals nothing.
    """
    match kind:
        case Primitive():
            return _primitive_values(kind.kind, nan)
        case ListOf() if kind.is_bytes:
            return st.binary(max_size=12)
        case ListOf(element):
            return st.lists(wire_values(element, nan=nan), max_size=4)
        case MapOf(key, value):
            return st.dictionaries(wire_values(key), wire_values(value, nan=nan), max_size=4)
        case TupleOf(elements):
            return st.tuples(*(wire_values(each, nan=nan) for each in elements)).map(list)
        case Record(fields):
            return st.fixed_dictionaries({f.name: wire_values(f.type, nan=nan) for f in fields})
        case Variant(cases):
            return st.one_of([_tagged(case.name, case.type, nan) for case in cases])
        case Enum(names):
            return st.sampled_from(names)
        case Flags(labels):
            return st.lists(st.booleans(), min_size=len(labels), max_size=len(labels)).map(
                lambda chosen: [label for label, on in zip(labels, chosen, strict=True) if on]
            )
        case OptionOf(inner):
            some = wire_values(inner, nan=nan)
            return st.none() | (some.map(lambda v: [v]) if kind.inner_may_be_nil else some)
        case ResultOf(ok, err):
            return _tagged("ok", ok, nan) | _tagged("err", err, nan)
        case Handle():
            return st.binary(min_size=1, max_size=16).map(lambda data: ExtType(1, data))


def wire_params(func: Func, *, nan: bool = False) -> st.SearchStrategy[list[Wire]]:
    """Random wire values for the parameters of `func`."""
    return st.tuples(*(wire_values(param.type, nan=nan) for param in func.params)).map(list)


def _tagged(tag: str, kind: Type | None, nan: bool) -> st.SearchStrategy[Wire]:
    payload: st.SearchStrategy[Wire] = st.none() if kind is None else wire_values(kind, nan=nan)
    return payload.map(lambda value: {tag: value})


def _primitive_values(kind: PrimitiveKind, nan: bool) -> st.SearchStrategy[Wire]:
    match kind:
        case "bool":
            return st.booleans()
        case "f32":
            return st.floats(width=32, allow_nan=nan)
        case "f64":
            return st.floats(allow_nan=nan)
        case "char":
            return st.characters(exclude_categories=["Cs"])
        case "string":
            return st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
        case _:
            low, high = INTEGER_RANGES[kind]
            return st.integers(low, high)
