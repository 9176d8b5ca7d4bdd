"""What patterns of `allowed_sockets` allow, and what becomes of those that are none."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lath.errors import InvalidArgument
from lath_host.outbound.socket_rules import SocketRules, Transport, parse_rule


@pytest.mark.parametrize(
    ("pattern", "fix"),
    [
        ("db.internal", "HOST:PORTS"),
        ("", "HOST:PORTS"),
        (":5432", "it has no host"),
        ("tcp:5432", "it has no host"),
        ("listen:8080", "it has no host"),
        ("udp::53", "it has no host"),
        ("sctp:db:1", "HOST:PORTS"),
        ("tcp://db:5432", "HOST:PORTS"),
        ("fd00::7:5432", "brackets"),
        ("::1", "brackets"),
        ("[::1]", "HOST:PORTS"),
        ("[fd00::7]:", "5432, 8000-8100, or *"),
        ("db:", "5432, 8000-8100, or *"),
        ("db:http", "5432, 8000-8100, or *"),
        ("db:-1", "5432, 8000-8100, or *"),
        ("db:0", "from 1 to 65535"),
        ("db:65536", "from 1 to 65535"),
        ("db:90-80", "the lower one first"),
        ("10.0.0.1/8:80", "write 10.0.0.0/8"),
        ("[fd00::1/8]:80", "write [fd00::/8]"),
        ("10.0.0.0/33:80", "write 10.0.0.0/8 or [fd00::/8]"),
        ("db/8:80", "write 10.0.0.0/8 or [fd00::/8]"),
        ("[::ffff:10.0.0.0/104]:80", "10.0.0.0/8"),
        ("2130706433:80", "four decimal numbers"),
        ("127.1:80", "four decimal numbers"),
        ("0x7f000001:80", "four decimal numbers"),
        ("bücher.example:80", "xn--"),
        ("d b:80", "letters"),
        ("*.10.0.0.1:80", "name their network"),
        ("db.*:80", "a * stands alone"),
        ("*db:80", "a * stands alone"),
        ("listen:db.internal:80", "listen:127.0.0.1:8080"),
        ("listen:*.internal:80", "listen:127.0.0.1:8080"),
    ],
)
def test_what_is_no_pattern_is_refused_with_what_to_write(pattern: str, fix: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_rule(pattern)
    assert f"allowed_sockets: {pattern!r}" in caught.value.message
    assert fix in caught.value.message


@pytest.mark.parametrize(
    ("pattern", "protocol", "host", "port", "reached"),
    [
        ("10.0.0.7:5432", "tcp", "10.0.0.7", 5432, True),
        ("10.0.0.7:5432", "udp", "10.0.0.7", 5432, True),
        ("tcp:10.0.0.7:5432", "udp", "10.0.0.7", 5432, False),
        ("udp:10.0.0.7:53", "tcp", "10.0.0.7", 53, False),
        ("10.0.0.7:5432", "tcp", "10.0.0.7", 5433, False),
        ("10.0.0.7:5432", "tcp", "10.0.0.8", 5432, False),
        ("10.0.0.7:8000-8002", "tcp", "10.0.0.7", 8002, True),
        ("10.0.0.7:8000-8002", "tcp", "10.0.0.7", 8003, False),
        ("10.0.0.7:*", "tcp", "10.0.0.7", 65_535, True),
        ("10.0.0.0/8:5432", "tcp", "10.255.255.255", 5432, True),
        ("10.0.0.0/8:5432", "tcp", "11.0.0.0", 5432, False),
        ("[fd00::/8]:5432", "tcp", "fd12::1", 5432, True),
        ("[::1]:5432", "tcp", "::1", 5432, True),
        ("[::1]:5432", "tcp", "127.0.0.1", 5432, False),
        ("[::ffff:127.0.0.1]:5432", "tcp", "127.0.0.1", 5432, True),
        ("*:443", "tcp", "8.8.8.8", 443, True),
        ("*:443", "tcp", "2606:4700::1", 443, True),
        ("*:443", "tcp", "127.0.0.1", 443, False),
        ("*:443", "tcp", "10.0.0.1", 443, False),
        ("*:443", "tcp", "169.254.169.254", 443, False),
        ("*:443", "tcp", "::1", 443, False),
        ("*:443", "tcp", "2002:7f00:1::", 443, False),
        ("0.0.0.0/0:*", "tcp", "8.8.8.8", 443, True),
        ("0.0.0.0/0:*", "tcp", "127.0.0.1", 443, False),
        ("0.0.0.0/0:*", "tcp", "192.168.0.1", 443, False),
        ("8.0.0.0/5:*", "tcp", "10.0.0.1", 443, False),
        ("[::/0]:*", "tcp", "::1", 443, False),
        ("[::/0]:*", "tcp", "fd00::1", 443, False),
        ("127.0.0.0/8:*", "tcp", "127.1.2.3", 443, True),
        ("169.254.169.254:80", "tcp", "169.254.169.254", 80, True),
        ("100.64.0.0/10:80", "tcp", "100.64.0.1", 80, True),
        ("100.64.0.0/10:80", "tcp", "100.100.100.200", 80, False),  # a cloud's metadata
        ("db.internal:5432", "tcp", "10.0.0.7", 5432, False),  # which no look-up has given
        ("listen:10.0.0.7:5432", "tcp", "10.0.0.7", 5432, False),
    ],
)
def test_who_is_reached_by_address(
    pattern: str, protocol: Transport, host: str, port: int, reached: bool
) -> None:
    assert SocketRules([pattern]).may_reach(protocol, ip_address(host), port) is reached


@pytest.mark.parametrize(
    ("pattern", "name", "host", "reached"),
    [
        ("db.internal:5432", "db.internal", "10.0.0.7", True),
        ("DB.Internal.:5432", "db.internal", "10.0.0.7", True),
        ("db.internal:5432", "db.internal", "8.8.8.8", True),
        ("db.internal:5432", "db.internal", "fd00::7", True),
        ("db.internal:5432", "db.internal", "127.0.0.1", False),
        ("db.internal:5432", "db.internal", "169.254.169.254", False),
        ("db.internal:5432", "other.internal", "10.0.0.7", False),
        ("db.internal:5432", "x.db.internal", "10.0.0.7", False),
        ("db.internal:5433", "db.internal", "10.0.0.7", False),
        ("localhost:5432", "localhost", "127.0.0.1", True),
        ("db.localhost:5432", "db.localhost", "::1", True),
        ("*.example.com:5432", "db.example.com", "8.8.8.8", True),
        ("*.example.com:5432", "example.com", "8.8.8.8", False),
        ("*.example.com:5432", "badexample.com", "8.8.8.8", False),
        ("*.example.com:5432", "db.example.com", "10.0.0.7", False),
        ("*:5432", "db.example.com", "10.0.0.7", False),
    ],
)
def test_who_is_reached_by_name(pattern: str, name: str, host: str, reached: bool) -> None:
    assert SocketRules([pattern]).may_reach("tcp", ip_address(host), 5432, [name]) is reached


@pytest.mark.parametrize(
    ("pattern", "name", "looked_up"),
    [
        ("db.internal:5432", "db.internal", True),
        ("db.internal:5432", "internal", False),
        ("*.example.com:*", "a.b.example.com", True),
        ("*:443", "anything.example", True),
        ("0.0.0.0/0:443", "anything.example", False),
        ("listen:*:*", "anything.example", False),
    ],
)
def test_which_names_are_looked_up(pattern: str, name: str, looked_up: bool) -> None:
    assert SocketRules([pattern]).may_look_up(name) is looked_up


@pytest.mark.parametrize(
    ("pattern", "protocol", "host", "port", "listens"),
    [
        ("listen:127.0.0.1:8080", "tcp", "127.0.0.1", 8080, True),
        ("listen:127.0.0.1:8080", "udp", "127.0.0.1", 8080, True),
        ("listen:tcp:127.0.0.1:8080", "udp", "127.0.0.1", 8080, False),
        ("listen:127.0.0.1:8080", "tcp", "0.0.0.0", 8080, False),
        ("listen:127.0.0.1:8080", "tcp", "127.0.0.1", 0, False),
        ("listen:127.0.0.1:0", "tcp", "127.0.0.1", 0, True),
        ("listen:127.0.0.1:*", "tcp", "127.0.0.1", 0, True),
        ("listen:0.0.0.0:8080", "tcp", "0.0.0.0", 8080, True),
        ("listen:0.0.0.0:8080", "tcp", "127.0.0.1", 8080, False),
        ("listen:10.0.0.0/8:8080", "tcp", "10.1.2.3", 8080, True),
        ("listen:*:8080", "tcp", "0.0.0.0", 8080, True),
        ("listen:*:8080", "udp", "::", 8080, True),
        ("127.0.0.1:8080", "tcp", "127.0.0.1", 8080, False),
    ],
)
def test_where_one_may_listen(pattern: str, protocol: Transport, host: str, port: int, listens: bool) -> None:
    assert SocketRules([pattern]).may_listen(protocol, ip_address(host), port) is listens


def test_no_rules_allow_nothing() -> None:
    rules = SocketRules([])
    assert not rules.reaches
    assert not rules.may_look_up("localhost")
    assert not rules.may_reach("tcp", ip_address("8.8.8.8"), 443, ["example.com"])
    assert not rules.may_listen("tcp", ip_address("127.0.0.1"), 0)
