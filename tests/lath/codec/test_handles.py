"""What extension 2 carries, both ways; and where handles stand in values."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import ExtType

from lath.codec import (
    COMPONENT_RESOURCE,
    ComponentHandle,
    component_handles_in_params,
    component_handles_in_result,
    pack,
    params_from_json,
    result_to_json,
    unpack,
)
from lath.codec.handles import LEASE_SECONDS_MAX, TOKEN_BYTES, Found, home_of, pack_tokens, parse_tokens
from lath.errors import InvalidArgument
from lath.wit import types as wit

TOKEN = bytes(range(TOKEN_BYTES))
NAMES = st.text("abcXYZ019-", min_size=1, max_size=64)
HANDLES = st.builds(
    ComponentHandle,
    NAMES,
    NAMES,
    st.binary(min_size=TOKEN_BYTES, max_size=TOKEN_BYTES),
    st.integers(1, LEASE_SECONDS_MAX),
)
OWN = wit.Handle("own", "counter")
BORROW = wit.Handle("borrow", "counter")


def handle(component: str = "counters", instance: str = "here", token: bytes = TOKEN) -> ComponentHandle:
    return ComponentHandle(component, instance, token, 60)


@given(HANDLES)
def test_a_handle_is_read_as_it_was_written(each: ComponentHandle) -> None:
    wire = unpack(pack([each.to_wire()]))[0]
    assert wire.code == COMPONENT_RESOURCE
    assert ComponentHandle.parse(wire.data) == each


@given(HANDLES)
def test_a_handle_keeps_through_json(each: ComponentHandle) -> None:
    made = wit.Func((), OWN)
    used = wit.Func((wit.Field("self", BORROW),), None)
    shown = result_to_json(made, each.to_wire())
    assert list(shown) == ["component-resource"]
    assert params_from_json(used, [shown]) == [each.to_wire()]


@given(st.binary(max_size=64))
def test_whatever_the_bytes_they_are_a_handle_or_refused(data: bytes) -> None:
    try:
        parsed = ComponentHandle.parse(data)
    except InvalidArgument:
        return
    assert ComponentHandle.parse(parsed.to_wire().data) == parsed


@pytest.mark.parametrize(
    "parts",
    [
        ["counters", "here", TOKEN],
        ["counters", "here", TOKEN, 60, 1],
        ["counters", "here", TOKEN[:-1], 60],
        ["counters", "here", TOKEN.hex(), 60],
        ["counters", "here", TOKEN, 0],
        ["counters", "here", TOKEN, True],
        ["counters", "here", TOKEN, LEASE_SECONDS_MAX + 1],
        ["counters", "a.b", TOKEN, 60],
        ["*", "here", TOKEN, 60],
        {"component": "counters"},
    ],
)
def test_what_is_malformed_is_refused(parts: Any) -> None:
    with pytest.raises(InvalidArgument):
        ComponentHandle.parse(msgpack.packb(parts))


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        (OWN, "{}"),
        (wit.ListOf(OWN), ["{}"]),
        (wit.OptionOf(OWN), "{}"),
        (wit.OptionOf(wit.OptionOf(OWN)), ["{}"]),
        (wit.TupleOf((wit.Primitive("u8"), OWN)), [1, "{}"]),
        (wit.Record((wit.Field("a", wit.Primitive("u8")), wit.Field("b", OWN))), {"a": 1, "b": "{}"}),
        (wit.Variant((wit.Case("a", OWN), wit.Case("b", None))), {"a": "{}"}),
        (wit.ResultOf(OWN, wit.Primitive("string")), {"ok": "{}"}),
        (wit.MapOf(wit.Primitive("string"), OWN), {"k": "{}"}),
    ],
)
def test_handles_are_found_wherever_they_stand(kind: wit.Type, wire: Any) -> None:
    def filled(value: Any) -> Any:
        match value:
            case "{}":
                return handle().to_wire()
            case list():
                return [filled(each) for each in value]
            case dict():
                return {key: filled(each) for key, each in value.items()}
        return value

    find = component_handles_in_result(wit.Func((), kind))
    assert find is not None
    assert list(find(filled(wire))) == [Found("own", handle())]


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        (wit.OptionOf(OWN), None),
        (wit.OptionOf(wit.OptionOf(OWN)), None),
        (wit.ListOf(OWN), []),
        (wit.ResultOf(OWN, wit.Primitive("string")), {"err": "no"}),
        (OWN, ExtType(1, b"of a provider")),
    ],
)
def test_where_there_are_none_none_are_found(kind: wit.Type, wire: Any) -> None:
    find = component_handles_in_params(wit.Func((wit.Field("a", kind),), None))
    assert find is not None
    assert list(find([wire])) == []


def test_types_without_handles_are_not_searched() -> None:
    func = wit.Func((wit.Field("a", wit.ListOf(wit.Primitive("u8"))),), wit.OptionOf(wit.Primitive("string")))
    assert component_handles_in_params(func) is None
    assert component_handles_in_result(func) is None


def test_a_call_goes_to_the_instance_that_the_handles_of_its_target_live_in() -> None:
    here, other = Found("borrow", handle()), Found("own", handle(component="others", instance="there"))
    assert home_of([other, here, here], "counters") == handle()
    assert home_of([other], "counters") is None
    with pytest.raises(InvalidArgument, match="these live in here and there"):
        home_of([here, Found("own", handle(instance="there"))], "counters")


@given(st.lists(st.binary(min_size=TOKEN_BYTES, max_size=TOKEN_BYTES), max_size=20))
def test_tokens_are_read_as_they_were_written(tokens: list[bytes]) -> None:
    assert parse_tokens(pack_tokens(tokens)) == tokens


@pytest.mark.parametrize("data", [b"", b"\xc1", pack("token"), pack([1]), pack([b"short"]), pack({})])
def test_what_are_no_tokens_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        parse_tokens(data)
