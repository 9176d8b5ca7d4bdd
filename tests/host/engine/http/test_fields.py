"""Which headers a guest may set, whatever it tries."""

from __future__ import annotations

import string
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lath.errors import LimitExceeded
from lath_host.engine.http.fields import ANSWERS, FIELDS_BYTES_MAX, FORBIDDEN, Fields, content_length
from lath_host.engine.wasi import WasiGuest

GUEST = cast("WasiGuest", None)
TOKEN = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
NAMES = st.text(TOKEN, min_size=1, max_size=12).filter(lambda name: name.lower() not in FORBIDDEN)
VALUES = st.binary(max_size=12).map(lambda value: bytes(b for b in value if b >= 0x20 and b != 0x7F))
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


def call(name: str, *params: Any) -> Any:
    answer = ANSWERS["wasi:http/types", name].at_once
    assert answer is not None
    return answer(GUEST, list(params))


@given(HEADERS)
def test_what_is_good_is_kept_in_its_order_and_found_without_case(headers: list[tuple[str, bytes]]) -> None:
    fields = call("[static]fields.from-list", headers)["ok"]
    assert call("[method]fields.entries", fields) == [list(header) for header in headers]
    for name, _ in headers:
        same = [value for each, value in headers if each.lower() == name.lower()]
        assert call("[method]fields.get", fields, name.swapcase()) == same
        assert call("[method]fields.has", fields, name.swapcase())
    assert call("[method]fields.delete", fields, "absent-for-sure") == {"ok": None}


@given(st.text(max_size=6), st.binary(max_size=6))
def test_what_could_break_out_of_a_header_is_refused(name: str, value: bytes) -> None:
    told = call("[method]fields.append", fields := Fields(), name, value)
    good_name = bool(name) and all(char in TOKEN for char in name)
    good_value = all(byte == 9 or (byte >= 0x20 and byte != 0x7F) for byte in value)
    if not (good_name and good_value):
        assert told == {"err": {"invalid-syntax": None}}
    elif name.lower() not in FORBIDDEN:
        assert told == {"ok": None}
    assert (told == {"ok": None}) == bool(fields.entries)


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_what_belongs_to_the_connection_is_forbidden(name: str) -> None:
    for attempt in (name, name.upper()):
        assert call("[static]fields.from-list", [(attempt, b"x")]) == {"err": {"forbidden": None}}
        assert call("[method]fields.set", Fields(), attempt, [b"x"]) == {"err": {"forbidden": None}}
        assert call("[method]fields.delete", Fields(), attempt) == {"err": {"forbidden": None}}


def test_fields_of_a_message_may_only_be_read() -> None:
    fields = Fields([("a", b"1")], mutable=False)
    for name, *params in [("set", "a", [b"2"]), ("append", "a", b"2"), ("delete", "a")]:
        assert call(f"[method]fields.{name}", fields, *params) == {"err": {"immutable": None}}
    copy = call("[method]fields.clone", fields)
    assert call("[method]fields.append", copy, "a", b"2") == {"ok": None}
    assert (fields.entries, copy.entries) == ([("a", b"1")], [("a", b"1"), ("a", b"2")])


def test_fields_have_an_end() -> None:
    fields = Fields()
    call("[method]fields.append", fields, "a", bytes(b" " * (FIELDS_BYTES_MAX - 33)))
    with pytest.raises(LimitExceeded, match=str(FIELDS_BYTES_MAX)):
        call("[method]fields.append", fields, "a", b"")
    call("[method]fields.delete", fields, "a")
    assert call("[method]fields.append", fields, "a", b"") == {"ok": None}


@pytest.mark.parametrize(
    ("value", "size"), [(b"12", 12), (b"-1", None), (b"", None), (b"1,1", None), (b"9" * 5000, None)]
)
def test_the_size_that_a_header_promises_is_read_where_it_is_a_number(value: bytes, size: int | None) -> None:
    assert content_length([("Content-Length", value)]) == size
    assert content_length([]) is None
