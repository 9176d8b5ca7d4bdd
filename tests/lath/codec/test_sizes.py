"""`size_check`: what could not be sent is refused without being packed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wit_strategies import funcs, steady, types, wire_params, wire_values

from lath.codec import PAYLOAD_BYTES_MAX, params_packer, size_check, sizes, unpack_for_type, wire_packer
from lath.codec.wire import ARRAY_ITEMS_MAX, MAP_ITEMS_MAX
from lath.errors import InvalidArgument, PayloadTooLarge
from lath.wit.types import Case, Field, ListOf, MapOf, OptionOf, Primitive, Record, ResultOf, Type, Variant

STRING, U32, BYTES = Primitive("string"), Primitive("u32"), ListOf(Primitive("u8"))
TEXT = Record((Field("id", U32), Field("text", STRING)))


def bound(kind: Type, value: Any) -> int:
    found = sizes._bound(kind)
    return found if isinstance(found, int) else found(value)


@steady
@given(st.data())
def test_no_value_is_larger_than_its_bound(data: st.DataObject) -> None:
    kind = data.draw(types(with_handles=True))
    value = data.draw(wire_values(kind))
    assert len(wire_packer(kind)(value)) <= bound(kind, value)


@steady
@given(st.data())
def test_small_parameters_pass(data: st.DataObject) -> None:
    func = data.draw(funcs(with_handles=True))
    params = data.draw(wire_params(func))
    check = size_check([param.type for param in func.params])
    assert check is None or check(params) is None  # type: ignore[func-returns-value]
    assert params_packer(func)(params)


@pytest.mark.parametrize("kind", [U32, Record((Field("a", U32), Field("b", OptionOf(Primitive("char")))))])
def test_what_is_always_small_is_not_looked_at(kind: Type) -> None:
    assert size_check(kind) is None
    assert size_check([kind, kind]) is None
    assert size_check(None) is None


LARGE = PAYLOAD_BYTES_MAX - 5
Make = Callable[[int], Any]


@pytest.mark.parametrize(
    ("kind", "make", "fits"),
    [
        (BYTES, bytes, LARGE),
        (STRING, lambda size: "a" * size, LARGE),
        (STRING, lambda size: "€" * size, LARGE // 3),
        (OptionOf(BYTES), bytes, LARGE),
        (ResultOf(BYTES, STRING), lambda size: {"ok": bytes(size)}, LARGE - 4),
        (Variant((Case("a", BYTES), Case("b", None))), lambda size: {"a": bytes(size)}, LARGE - 3),
        (ListOf(BYTES), lambda size: [bytes(2**20)] * size, 63),
        (ListOf(U32), lambda size: [2**32 - 1] * size, ARRAY_ITEMS_MAX),
        (TEXT, lambda size: {"id": 1, "text": "x" * size}, LARGE - 10),
        (MapOf(STRING, BYTES), lambda size: {"a": bytes(size)}, LARGE - 3),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_refused_is_exactly_what_could_not_be_packed(kind: Type, make: Make, fits: int) -> None:
    check = size_check(kind)
    assert check is not None
    check(make(fits))
    wire_packer(kind)(make(fits))
    too_large = make(fits + 1)
    with pytest.raises((PayloadTooLarge, InvalidArgument)) as checked:
        check(too_large)
    if isinstance(checked.value, PayloadTooLarge):
        with pytest.raises(PayloadTooLarge) as packed:
            wire_packer(kind)(too_large)
        assert str(checked.value) == str(packed.value)
    else:
        with pytest.raises(InvalidArgument):
            unpack_for_type(wire_packer(kind)(too_large))


def test_more_items_than_a_receiver_takes_are_refused() -> None:
    for kind, value in (
        (ListOf(Primitive("bool")), [True] * (ARRAY_ITEMS_MAX + 1)),
        (MapOf(U32, U32), dict.fromkeys(range(MAP_ITEMS_MAX + 1), 0)),
    ):
        check = size_check(kind)
        assert check is not None
        with pytest.raises(InvalidArgument, match="above the limit"):
            check(value)
