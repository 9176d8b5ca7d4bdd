"""Every host has one spelling, and every address one kind."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lath.errors import InvalidArgument
from lath_host.outbound.addresses import (
    AddressKind,
    canonical,
    kind_of,
    parse_host,
    reached_by_name,
    resolved,
)

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)
properties = settings(deadline=None)
"""Without a time for each example: the machine may be busy."""
_TRANSLATED = IPv6Network("64:ff9b::/96")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("db", "db"),
        ("my_service.internal", "my_service.internal"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", IPv4Address("127.0.0.1")),
        ("127.0.0.1.", IPv4Address("127.0.0.1")),
        ("[::1]", IPv6Address("::1")),
        ("[2001:DB8:0:0::1]", IPv6Address("2001:db8::1")),
        ("[::ffff:127.0.0.1]", IPv4Address("127.0.0.1")),
        ("[::FFFF:7f00:1]", IPv4Address("127.0.0.1")),
    ],
)
def test_a_host_is_brought_into_its_one_form(text: str, host: object) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "0X7F000001", "127.1", "0", "00", "0x", "0.",
        "127.0.0.01", "127.0.0.256", "1.2.3.4.5", "a.1", "example.0x7f", "127.0.0.1..",
    ],
)  # fmt: skip
def test_what_others_would_read_as_an_address_is_refused_in_any_other_spelling(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"four decimal numbers|no name"):
        parse_host(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no name"), (".", "no name"), ("a..b", "no name"), ("-a.b", "no name"), ("a-.b", "no name"),
        ("a b", "no name"), ("a/b", "no name"), ("user@a", "no name"), ("%6cocalhost", "no name"),
        ("a\r\nb", "no name"), ("a\0", "no name"), ("a\n", "no name"), ("a" * 64, "no name"),
        (".".join(["a" * 63] * 4), "no name"),
        ("*", "no name"), ("*.example.com", "no name"),
        ("::1", "brackets"), ("localhost:80", "brackets"),
        ("[::1%lo]", "zone"), ("[fe80::1%25eth0]", "zone"), ("[127.0.0.1]", "no IPv6"), ("[]", "no IPv6"),
        ("[::1", "brackets"), ("[v1.a]", "no IPv6"), ("bücher.example", "xn--"), ("１２７.0.0.1", "xn--"),
        ("①.example", "xn--"), ("example。com", "xn--"),
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        parse_host(text)


@pytest.mark.parametrize(
    ("kind", "addresses"),
    [
        ("public", "1.1.1.1 8.8.8.8 172.32.0.1 100.128.0.1 2606:4700::1111 2a00::1 64:ff9b::808:808"
                   " 192.31.196.1"),
        ("private", "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1 fd12::1 fc00::1"
                    " 64:ff9b::a00:1 ::ffff:10.0.0.1"),
        ("shared", "100.64.0.1 100.127.255.255 64:ff9b::6440:1"),
        ("loopback", "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1"),
        ("link-local", "169.254.169.254 169.254.170.2 fe80::1 febf::1 ::ffff:169.254.169.254"
                       " 64:ff9b::a9fe:a9fe"),
        ("metadata", "168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::254 fd20:ce::254"
                     " ::ffff:168.63.129.16 64:ff9b::a83f:8110"),
        ("multicast", "224.0.0.1 239.255.255.255 ff02::1 ::ffff:224.0.0.1"),
        ("unspecified", "0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0 64:ff9b::"),
        ("reserved", "255.255.255.255 240.0.0.1 192.0.2.1 198.18.0.1 203.0.113.9 192.88.99.1 ::2 ::127.0.0.1"
                     " ::ffff:0:127.0.0.1 64:ff9b:1::7f00:1 2002:7f00:1:: 2001::1 2001:db8::1 fec0::1 100::1"
                     " 5f00::1 4000::1 3fff::1"),
    ],
)  # fmt: skip
def test_an_address_is_of_the_kind_that_the_registries_say(kind: str, addresses: str) -> None:
    assert {text: str(kind_of(ip_address(text))) for text in addresses.split()} == dict.fromkeys(
        addresses.split(), kind
    )


@properties
@given(V4)
def test_an_address_is_of_one_kind_however_it_is_wrapped(address: IPv4Address) -> None:
    kind = kind_of(address)
    mapped, translated = (IPv6Address(f"{prefix}{address}") for prefix in ("::ffff:", "64:ff9b::"))
    assert kind_of(mapped) is kind_of(translated) is kind
    assert canonical(mapped) == address
    for tunnel in (f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::", f"::ffff:0:{address}"):
        assert kind_of(IPv6Address(tunnel)) is AddressKind.RESERVED


@properties
@given(V4 | V6)
def test_nothing_is_public_that_python_knows_to_be_special(address: IPv4Address | IPv6Address) -> None:
    address = canonical(address)
    if kind_of(address) is AddressKind.PUBLIC and address not in _TRANSLATED:
        assert not (
            address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
            or address.is_unspecified or address.is_reserved
        )  # fmt: skip


@properties
@given(V4 | V6)
def test_an_address_that_is_written_is_the_address_that_is_read(address: IPv4Address | IPv6Address) -> None:
    text = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    assert parse_host(text) == parse_host(text.upper()) == canonical(address) == resolved(str(address))


@properties
@given(st.text(max_size=20) | st.text(alphabet="0123456789abcdefx.:[]%-_@ ", max_size=20))
def test_reading_a_host_twice_changes_nothing_more(text: str) -> None:
    try:
        host = parse_host(text)
    except InvalidArgument:
        return
    again = str(host) if isinstance(host, str | IPv4Address) else f"[{host}]"
    assert parse_host(again) == host


def test_the_zone_of_an_address_that_was_looked_up_does_not_hide_its_kind() -> None:
    assert kind_of(resolved("fe80::1%eth0")) is AddressKind.LINK_LOCAL


@pytest.mark.parametrize(
    ("name", "address", "reached"),
    [
        ("example.com", "1.1.1.1", True), ("db.internal", "10.0.0.1", True), ("db", "100.64.0.1", True),
        ("localhost", "127.0.0.1", True), ("db.localhost", "::1", True),
        ("localhost", "169.254.169.254", False),
        ("example.com", "127.0.0.1", False), ("notlocalhost", "127.0.0.1", False),
        ("metadata.google.internal", "169.254.169.254", False), ("db.internal", "fd00:ec2::254", False),
        ("example.com", "0.0.0.0", False), ("example.com", "224.0.0.1", False),
        ("example.com", "::ffff:127.0.0.1", False), ("example.com", "203.0.113.1", False),
    ],
)  # fmt: skip
def test_a_name_leads_to_public_and_private_networks_and_nowhere_else(
    name: str, address: str, reached: bool
) -> None:
    assert reached_by_name(name, ip_address(address)) is reached
