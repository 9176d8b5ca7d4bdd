"""A component sends requests to the hosts that it was given, however it writes others."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lath.errors import InvalidArgument
from lath_host.outbound.addresses import AddressKind, kind_of
from lath_host.outbound.rules import DEFAULT_PORTS, Destination, HostRules

PUBLIC = ip_address("1.1.1.1")
LABELS = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)
SCHEMES = st.sampled_from(sorted(DEFAULT_PORTS))
PORTS = st.integers(1, 65535)
properties = settings(deadline=None)
"""Without a time for each example: the machine may be busy."""


def written(host: object) -> str:
    return f"[{host}]" if isinstance(host, IPv6Address) else str(host)


def covered(pattern: str, url: str) -> bool:
    scheme, _, authority = url.partition("://")
    return HostRules([pattern]).covering(Destination.parse(scheme, authority)) is not None


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("*", "http://example.com"), ("*", "https://a.b:8443"), ("*", "http://1.2.3.4:81"),
        ("example.com", "http://example.com"), ("example.com", "https://example.com"),
        ("example.com", "https://example.com:443"), ("example.com", "http://EXAMPLE.com."),
        ("EXAMPLE.com.", "http://example.com"), ("example.com:8080", "http://example.com:8080"),
        ("example.com:8080", "https://example.com:8080"), ("https://example.com", "https://example.com"),
        ("HTTPS://example.com", "https://example.com"), ("http://example.com:443", "http://example.com:443"),
        ("*.example.com", "http://a.example.com"), ("*.example.com", "https://a.b.example.com"),
        ("*.example.com:81", "http://a.example.com:81"), ("https://*.example.com", "https://a.example.com"),
        ("127.0.0.1:80", "http://127.0.0.1"), ("127.0.0.1", "http://[::ffff:127.0.0.1]"),
        ("[::ffff:127.0.0.1]", "http://127.0.0.1"), ("[::1]", "http://[0:0:0:0:0:0:0:1]:80"),
        ("http://[2001:DB8::1]:8080", "http://[2001:db8:0::1]:8080"),
        ("xn--bcher-kva.example", "https://XN--BCHER-KVA.example"),
    ],
)  # fmt: skip
def test_a_pattern_covers_what_it_says(pattern: str, url: str) -> None:
    assert covered(pattern, url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("example.com", "http://example.com:8080"), ("example.com", "https://example.com:80"),
        ("example.com", "http://www.example.com"), ("example.com", "http://example.com.evil.net"),
        ("example.com", "http://evilexample.com"), ("example.com", "http://example.co"),
        ("example.com:8080", "http://example.com"), ("https://example.com", "http://example.com"),
        ("https://example.com", "http://example.com:443"), ("http://example.com", "https://example.com:80"),
        ("*.example.com", "http://example.com"), ("*.example.com", "http://evilexample.com"),
        ("*.example.com", "http://a.example.com:8080"), ("*.example.com", "http://a.example.com.evil.net"),
        ("https://*.example.com", "http://a.example.com"),
        ("localhost", "http://127.0.0.1"), ("127.0.0.1", "http://localhost"), ("127.0.0.1", "http://127.0.0.2"),
        ("127.0.0.1", "http://[::1]"), ("[::1]", "http://[::2]"), ("127.0.0.1", "http://[::7f00:1]"),
        ("127.0.0.1", "http://[64:ff9b::127.0.0.1]"),
    ],
)  # fmt: skip
def test_a_pattern_covers_nothing_else(pattern: str, url: str) -> None:
    assert not covered(pattern, url)


@properties
@given(SCHEMES, NAMES | ADDRESSES, PORTS)
def test_without_patterns_nothing_is_covered(scheme: str, host: object, port: int) -> None:
    destination = Destination.parse(scheme, f"{written(host)}:{port}")
    assert HostRules().covering(destination) is None
    assert not HostRules().reach(destination, PUBLIC)


@properties
@given(SCHEMES, NAMES | ADDRESSES, PORTS)
def test_the_pattern_that_a_refusal_names_would_have_covered_it(scheme: str, host: object, port: int) -> None:
    destination = Destination.parse(scheme, f"{written(host)}:{port}")
    assert HostRules([str(destination)]).covering(destination)


@properties
@given(SCHEMES, NAMES | ADDRESSES, PORTS, SCHEMES, NAMES | ADDRESSES, PORTS)
def test_such_a_pattern_covers_that_alone(
    scheme: str, host: object, port: int, other_scheme: str, other_host: object, other_port: int
) -> None:
    destination = Destination.parse(scheme, f"{written(host)}:{port}")
    other = Destination.parse(other_scheme, f"{written(other_host)}:{other_port}")
    assume(destination != other)
    assert HostRules([str(destination)]).covering(other) is None


@properties
@given(NAMES, NAMES)
def test_a_suffix_covers_the_names_below_it_and_not_itself(below: str, suffix: str) -> None:
    assert covered(f"*.{suffix}", f"http://{below}.{suffix}")
    assert not covered(f"*.{suffix}", f"http://{suffix}")
    assert not covered(f"*.{suffix}", f"http://x{suffix}")


@properties
@given(ADDRESSES)
def test_what_is_given_as_a_whole_reaches_public_addresses_only(address: IPv4Address | IPv6Address) -> None:
    public = kind_of(address) is AddressKind.PUBLIC
    name, literal = Destination("http", "a.example.com", 80), Destination("http", address, 80)
    for rules in (HostRules(["*"]), HostRules(["*.example.com"]), HostRules(["*", "*.com"])):
        assert rules.reach(name, address) is public
    assert HostRules(["*"]).reach(literal, address) is public


@properties
@given(ADDRESSES, PORTS)
def test_an_address_that_was_given_is_reached_whatever_it_is(
    address: IPv4Address | IPv6Address, port: int
) -> None:
    destination = Destination.parse("http", f"{written(address)}:{port}")
    assert not isinstance(destination.host, str)
    assert HostRules([f"{written(address)}:{port}"]).reach(destination, destination.host)


@pytest.mark.parametrize(
    ("patterns", "address", "reached"),
    [
        (["db.internal"], "10.0.0.1", True), (["db.internal"], "127.0.0.1", False),
        (["db.internal", "127.0.0.1"], "127.0.0.1", True),
        (["db.internal", "127.0.0.1:81"], "127.0.0.1", False),
        (["db.internal", "https://127.0.0.1"], "127.0.0.1", False), (["*.internal"], "10.0.0.1", False),
        (["*"], "10.0.0.1", False), (["*", "db.internal"], "10.0.0.1", True),
        (["*", "https://db.internal"], "10.0.0.1", False), (["*", "db.internal:81"], "10.0.0.1", False),
        (["*", "10.0.0.1"], "10.0.0.1", True), (["db.internal"], "169.254.169.254", False),
        (["db.internal", "169.254.169.254"], "169.254.169.254", True),
    ],
)  # fmt: skip
def test_a_name_leads_to_what_it_may_reach_and_to_addresses_that_were_given_beside_it(
    patterns: list[str], address: str, reached: bool
) -> None:
    assert HostRules(patterns).reach(Destination("http", "db.internal", 80), ip_address(address)) is reached


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "no name"), (" example.com", "no name"), ("https://", "no name"), ("https://*", "no name"),
        ("*:80", "no name"), ("**.a", "no name"), ("a.*.b", "no name"), ("*example.com", "no name"),
        ("ftp://example.com", "neither http nor https"), ("ws://a", "neither"), ("https://a/", "path"),
        ("10.0.0.0/8", "network"), ("a?b", "path"), ("u:p@a", "user"), ("a:0", "65535"), ("a:65536", "65535"),
        ("a:", "brackets"), ("a:b", "brackets"), ("::1", "brackets"), ("*.127.0.0.1", "below"),
        ("*.[::1]", "below"), ("127.1", "four decimal"), ("2130706433", "four decimal"),
        ("[fe80::1%eth0]", "zone"), ("bücher.example", "xn--"), ("*.", "no name"), ("a,b", "no name"),
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused_by_name(pattern: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason) as refused:
        HostRules(["*", pattern])
    assert repr(pattern) in refused.value.message


@pytest.mark.parametrize(
    ("scheme", "authority"),
    [("ftp", "a"), ("ws", "a"), ("http", ""), ("http", "a:"), ("http", "a:0"), ("http", "a:99999"),
     ("http", "a:8 0"), ("http", "a:+80"), ("http", "a:80:80"), ("http", "u@a"), ("http", "a\r\nb"),
     ("http", "a:٨٠"), ("http", "[::1]80"), ("http", "[::1%25lo]:80")],
)  # fmt: skip
def test_a_request_without_a_host_to_connect_to_is_refused(scheme: str, authority: str) -> None:
    with pytest.raises(InvalidArgument):
        Destination.parse(scheme, authority)
