"""The tables of docs/outgoing-http.md say what the code does."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from lath_host.engine.sockets.network import HOST_SOCKETS_MAX
from lath_host.outbound import client, resolver, transport
from lath_host.outbound.addresses import Address, AddressKind, kind_of
from lath_host.outbound.rules import Destination, HostRules

PAGE = (Path(__file__).parents[2] / "docs/outgoing-http.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in row.strip("|").split("|")] for row in PAGE.splitlines() if row.startswith("|")
]
PATTERNS = [row for row in ROWS if len(row) == 3 and "://" in row[1]]
ADDRESSES = {row[0]: row[1:] for row in ROWS if len(row) == 4}
LIMITS = {row[0]: row[1] for row in ROWS if len(row) == 3}
EXAMPLES = [
    "1.1.1.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "168.63.129.16", "224.0.0.1",
    "0.0.0.0", "240.0.0.1",
]  # fmt: skip
YES = {True: "yes", False: "no"}


def in_code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def destination(url: str) -> Destination:
    scheme, _, authority = url.partition("://")
    return Destination.parse(scheme, authority)


def seconds(time_ms: int, option: str) -> str:
    return f"{time_ms // 1000} s (`{option}-timeout`)"


@pytest.mark.parametrize("row", PATTERNS, ids=[row[0] for row in PATTERNS])
def test_a_pattern_covers_its_examples_and_no_others(row: list[str]) -> None:
    pattern, covered, others = row
    rules = HostRules(in_code(pattern))
    assert in_code(covered)
    assert all(rules.covering(destination(url)) for url in in_code(covered))
    assert not any(rules.covering(destination(url)) for url in in_code(others))


def test_every_kind_of_address_has_its_row() -> None:
    assert set(ADDRESSES) - {"address", "---"} == set(AddressKind)
    assert {kind_of(ip_address(text)) for text in EXAMPLES} == set(AddressKind)


@pytest.mark.parametrize("address", [*map(ip_address, EXAMPLES)], ids=EXAMPLES)
def test_an_address_is_reached_by_what_its_row_says(address: Address) -> None:
    def reached(pattern: str, host: str) -> bool:
        return HostRules([pattern]).reach(destination(f"http://{host}"), address)

    whole, name, itself = ADDRESSES[kind_of(address)]
    assert {reached("*", "a.b"), reached("*.b", "a.b")} == {whole == "yes"}
    assert reached("a.b", "a.b") is (name == "yes")
    assert reached("localhost", "localhost") is (name != "no")
    assert reached(str(address), str(address)) is (itself == "yes")


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("time to connect, look-up and TLS included", seconds(transport.CONNECT_MS, "connect")),
        (
            "a server's pause before its response, and while it does not read the request",
            seconds(transport.FIRST_BYTE_MS, "first-byte"),
        ),
        ("a server's pause within its response", seconds(transport.BETWEEN_BYTES_MS, "between-bytes")),
        ("connections of a component", f"{transport.CONNECTIONS_MAX}"),
        ("of these to one scheme, host and port", f"{transport.CONNECTIONS_PER_TARGET_MAX}"),
        (
            "connections of a host, and its guests' [sockets](sockets.md) with them",
            f"{HOST_SOCKETS_MAX:,}, and half of the files that the process may open",
        ),
        ("a connection waits for its next request", f"{transport.KEPT_SECONDS} s"),
        ("fields in the header of a response", f"{transport.FIELDS_MAX}"),
        ("one of them", f"{transport.FIELD_BYTES_MAX >> 10} KiB"),
        ("look-ups at once, of a component", f"{resolver.COMPONENT_LOOKUPS_MAX}"),
        ("look-ups at once, of a host", f"{resolver.LOOKUPS_MAX}"),
    ],
)  # fmt: skip
def test_a_limit_has_the_value_of_the_code(row: str, value: str) -> None:
    assert LIMITS[row] == value


def test_the_number_of_refusals_that_are_told_is_that_of_the_code() -> None:
    assert f"at most {client.TOLD_MAX} different" in PAGE
