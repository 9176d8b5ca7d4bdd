"""Requests and responses as messages: they come back as they were, and nothing malformed passes."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lath.errors import InvalidArgument, PayloadTooLarge
from lath.http import HttpRequest, wire

TOKENS = st.text("!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz", min_size=1, max_size=64)
VALUES = st.binary(max_size=40).filter(lambda value: not set(value) & {0, 10, 13})
FIELDS = st.lists(st.tuples(TOKENS, VALUES), max_size=6)
TARGETS = st.text(st.characters(min_codepoint=0x21, exclude_characters="\x7f", codec="utf-8"), max_size=80)
BODIES = st.none() | st.binary(max_size=100)
NUMBERS = st.booleans() | st.integers(-(2**63), 2**63) | st.floats()
KEYS = st.text("abc", max_size=5) | st.integers(0, 9)
ANYTHING = st.recursive(
    st.none() | NUMBERS | st.text("ab \r\n\0é", max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""However busy the machine is."""
GOOD: dict[str, Any] = {
    "method": "GET", "scheme": "http", "authority": "a:1", "path_with_query": "/", "headers": [["a", b"b"]],
    "body": None,
}  # fmt: skip


@PATIENT
@given(TOKENS, st.sampled_from(["http", "https", "h2c+x"]), TARGETS, TARGETS, FIELDS, BODIES, FIELDS)
def test_a_request_comes_back_as_it_was(
    method: str,
    scheme: str,
    authority: str,
    path: str,
    headers: list[tuple[str, bytes]],
    body: bytes | None,
    trailers: list[tuple[str, bytes]],
) -> None:
    request = HttpRequest(method, scheme, authority, path, headers)
    assert wire.unpack_request(wire.pack_request(request, body, trailers)) == (request, body, trailers)


@PATIENT
@given(st.integers(100, 599), FIELDS, st.binary(max_size=100), FIELDS)
def test_a_response_comes_back_as_it_was(
    status: int, headers: list[tuple[str, bytes]], body: bytes, trailers: list[tuple[str, bytes]]
) -> None:
    packed = wire.pack_response(status, headers, body, trailers)
    assert wire.unpack_response(packed) == (status, headers, body, trailers)


@PATIENT
@given(FIELDS)
def test_trailers_come_back_as_they_were(trailers: list[tuple[str, bytes]]) -> None:
    assert wire.unpack_trailers(wire.pack_trailers(trailers)) == trailers


@PATIENT
@given(st.binary(max_size=200) | ANYTHING.map(msgpack.packb))
def test_whatever_comes_is_read_or_refused(payload: bytes) -> None:
    for read in (wire.unpack_request, wire.unpack_response, wire.unpack_trailers):
        with contextlib.suppress(InvalidArgument):
            read(payload)  # type: ignore[operator]


@PATIENT
@given(st.sampled_from(sorted(GOOD)), ANYTHING)
def test_a_request_with_anything_in_one_place_is_read_as_it_is_or_refused(key: str, value: Any) -> None:
    payload = msgpack.packb({**GOOD, key: value})
    try:
        request, body, _ = wire.unpack_request(payload)
    except InvalidArgument:
        with pytest.raises(InvalidArgument, match=key):
            wire.unpack_request(payload)
        return
    read = body if key == "body" else getattr(request, key)
    assert read == ([tuple(field) for field in value] if key == "headers" else value)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"method": "GET /"}, "method"),
        ({"method": ""}, "method"),
        ({"method": b"GET"}, "method"),
        ({"scheme": "ht tp"}, "scheme"),
        ({"authority": "a b"}, "authority"),
        ({"path_with_query": "/\r\nX: y"}, "path_with_query"),
        ({"headers": None}, "headers"),
        ({"headers": {"a": b"b"}}, "headers"),
        ({"headers": [["a"]]}, "headers"),
        ({"headers": [["a", "b"]]}, "headers"),
        ({"headers": [["a b", b""]]}, "headers"),
        ({"headers": [["a", b"x\r\ny: z"]]}, "headers"),
        ({"headers": [["", b""]]}, "headers"),
        ({"body": "text"}, "body"),
        ({"trailers": [["a", b"\0"]]}, "trailers"),
    ],
)
def test_what_could_end_a_line_or_has_no_form_is_refused_by_name(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        wire.unpack_request(msgpack.packb({**GOOD, **changed}))


@pytest.mark.parametrize("status", [99, 600, True, "200", None])
def test_a_status_is_an_integer_of_three_digits(status: Any) -> None:
    with pytest.raises(InvalidArgument, match="status"):
        wire.unpack_response(msgpack.packb({"status": status, "headers": [], "body": b""}))


def test_what_this_version_does_not_know_is_passed_over() -> None:
    request, _, _ = wire.unpack_request(msgpack.packb({**GOOD, "later": 1, 2: 3}))
    assert request == HttpRequest(authority="a:1", headers=[("a", b"b")])


def test_a_head_and_trailers_have_a_limit_and_a_body_does_not_count() -> None:
    long = [("a", bytes(wire.HEAD_BYTES_MAX))]
    with pytest.raises(PayloadTooLarge, match=str(wire.HEAD_BYTES_MAX)):
        wire.pack_request(HttpRequest(headers=long), None, [])
    with pytest.raises(PayloadTooLarge, match=str(wire.HEAD_BYTES_MAX)):
        wire.pack_response(200, [], b"", long)
    with pytest.raises(PayloadTooLarge, match=str(wire.HEAD_BYTES_MAX)):
        wire.pack_trailers(long)
    wire.pack_response(200, [], bytes(wire.BODY_BYTES_MAX), [])


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="cannot be sent"):
        wire.pack_request(HttpRequest(method=object()), None, [])  # type: ignore[arg-type]
