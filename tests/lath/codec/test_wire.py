"""`pack` and `unpack`: msgpack with limits."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import ExtType
from wit_strategies import steady, types, wire_values

from lath.codec import NESTING_MAX, PAYLOAD_BYTES_MAX, pack, unpack, unpack_for_type
from lath.errors import InvalidArgument, PayloadTooLarge


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


@steady
@given(st.data())
def test_every_wire_value_survives_the_way_through_bytes(data: st.DataObject) -> None:
    value = data.draw(wire_values(data.draw(types(with_handles=True))))
    assert unpack(pack(value)) == value


@steady
@given(st.binary(max_size=64))
def test_arbitrary_bytes_give_a_value_or_invalid_argument(data: bytes) -> None:
    try:
        value = unpack(data)
    except InvalidArgument:
        return
    assert unpack(pack(value)) == value or value != value or "nan" in repr(value)


@steady
@given(st.binary(max_size=64))
def test_bytes_for_a_type_never_fail_otherwise_than_with_invalid_argument(data: bytes) -> None:
    with contextlib.suppress(InvalidArgument):
        unpack_for_type(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "incomplete"),
        (b"\x92\x01", "incomplete"),
        (b"\xda\xff\xff", "incomplete"),
        (b"\x01\x02", "1 bytes follow"),
        (b"\xc1", "begins no value"),
        (b"\xa2\xff\xff", "utf-8"),
        (b"\xa3\xed\xa0\x80", "utf-8"),
        (b"\x82\xa1a\x01\xa1a\x02", "same key twice"),
        (b"\x81\xcb\x3f\xf8\0\0\0\0\0\0\x01", "keys of a map"),
        (b"\x81\xc4\x01a\x01", "keys of a map"),
        (b"\x81\x90\x01", "unhashable"),
        (b"\xd4\x03\x00", "extension 3"),
        (b"\xd6\xff\0\0\0\0", "Timestamp"),
        (b"\xc7\x03\xff\0\0\0", "timestamp"),
        (b"\xc8\x10\x01\x01" + b"x" * 4097, "at most 4096"),
        (b"\xdd\xff\xff\xff\xff", "exceeds"),
        (b"\xdf\xff\xff\xff\xff", "exceeds"),
    ],
)
def test_malformed_bytes_are_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        unpack(data)


@pytest.mark.parametrize("depth", [NESTING_MAX + 1, 400, 2000])
def test_values_nested_too_deep_are_refused_both_ways(depth: int) -> None:
    with pytest.raises(InvalidArgument, match=f"nested deeper than {NESTING_MAX}"):
        unpack(b"\x91" * depth + b"\xc0")
    with pytest.raises(InvalidArgument):
        pack(nested(depth))


def test_values_nested_to_the_limit_pass_both_ways() -> None:
    value = nested(NESTING_MAX)
    assert unpack(pack(value)) == value


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, [1 + 2j], {"a": object()}, "\ud800", 2**64, -(2**63) - 1, [b"x" * 200, object()]],
)
def test_what_is_no_wire_value_is_not_packed(value: Any) -> None:
    with pytest.raises(InvalidArgument):
        pack(value)


def test_a_payload_above_the_limit_is_refused_both_ways() -> None:
    with pytest.raises(PayloadTooLarge, match="payload_bytes_max"):
        pack(bytes(PAYLOAD_BYTES_MAX))
    with pytest.raises(PayloadTooLarge, match="payload_bytes_max"):
        unpack(bytes(PAYLOAD_BYTES_MAX + 1))


def test_a_large_value_leaves_the_packer_working() -> None:
    large = bytes(2 * 1024 * 1024)
    assert unpack(pack([large])) == [large]
    assert pack("a") == b"\xa1a"


def test_a_failed_pack_leaves_nothing_behind() -> None:
    with pytest.raises(InvalidArgument):
        pack(["left", object()])
    assert pack(1) == b"\x01"


def test_handles_travel_as_the_two_extensions() -> None:
    assert unpack(pack([ExtType(1, b"a"), ExtType(2, b"b")])) == [ExtType(1, b"a"), ExtType(2, b"b")]


def test_maps_may_have_integers_for_keys() -> None:
    assert unpack(msgpack.packb({1: "a", "b": 2})) == {1: "a", "b": 2}
