"""No way of writing, resolving or redirecting leads to what a component was not given."""

from __future__ import annotations

import logging

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from outbound_servers import Answers, asking, ok, request, serving
from yarl import URL

from lath_host.engine.http.messages import HttpFailure
from lath_host.outbound.client import TOLD_MAX
from lath_host.outbound.requests import destination_of, path_of
from lath_host.outbound.ways import WaysOut

pytestmark = pytest.mark.timeout(60)

REFUSED = {"HTTP-request-denied", "HTTP-request-URI-invalid", "destination-IP-prohibited"}
LOOPBACK_WRITTEN = [
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F.0.0.1", "0177.0.0.1",
    "017700000001", "127.0.0.01", "0", "0.0.0.0", "127.0.0.2", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:127.0.0.1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::]", "[::1%lo]", "[::1%25lo]",
    "[fe80::1%lo]", "localhost", "LOCALHOST", "localhost.", "a.localhost", "１２７.0.0.1", "127。0.0.1",
    "ⓛocalhost", "127.0.0.1%00", "user@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1\\@example.com",
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK_WRITTEN)
@pytest.mark.parametrize("given", ["*", "*.com", "example.com"])
async def test_the_machine_itself_is_not_reached_however_it_is_written(host: str, given: str) -> None:
    async with serving(ok(b"secret")) as server:
        pattern = given if given == "*" else f"{given}:{server.port}"
        async with asking(pattern) as component:
            assert await component.failure(f"http://{host}:{server.port}/") in REFUSED
        assert server.connections == 0


@pytest.mark.parametrize(
    "answer",
    ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "10.0.0.1 127.0.0.1", "169.254.169.254",
     "64:ff9b::7f00:1", "168.63.129.16", "fe80::1", "224.0.0.1", "255.255.255.255", "100.64.0.1"],
)  # fmt: skip
@pytest.mark.parametrize("given", ["*", "*.example.com"])
async def test_an_answer_of_dns_leads_nowhere_that_was_not_given(answer: str, given: str) -> None:
    ways = WaysOut(resolver=Answers(evil_example_com=[answer]))
    async with serving(ok(b"secret")) as server:
        pattern = given if given == "*" else f"{given}:{server.port}"
        async with asking(pattern, ways=ways) as component:
            url = f"http://evil.example.com:{server.port}/"
            assert await component.failure(url) == "destination-IP-prohibited"
        assert server.connections == 0


@pytest.mark.parametrize("answer", ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "168.63.129.16"])
async def test_a_name_that_was_given_does_not_lead_to_the_machine_itself_nor_to_credentials(
    answer: str,
) -> None:
    ways = WaysOut(resolver=Answers(partner_example=[answer]))
    async with serving(ok(b"secret")) as server:
        async with asking(f"partner.example:{server.port}", ways=ways) as component:
            url = f"http://partner.example:{server.port}/"
            assert await component.failure(url) == "destination-IP-prohibited"
        assert server.connections == 0


async def test_an_answer_that_changes_is_judged_anew_at_each_connection() -> None:
    async with serving(ok(b"given", "connection: close")) as server:
        resolver = Answers(rebind_test=["127.0.0.1", "127.0.0.2"])
        ways = WaysOut(resolver=resolver)
        async with asking(f"rebind.test:{server.port}", f"127.0.0.1:{server.port}", ways=ways) as component:
            url = f"http://rebind.test:{server.port}/"
            assert await component.text(url) == "given"
            assert await component.failure(url) == "destination-IP-prohibited"
        assert resolver.asked == ["rebind.test"] * 2  # one for each connection, and that one is used
        assert server.connections == 1


async def test_of_several_answers_only_those_that_may_be_reached_are() -> None:
    async with serving(ok(b"given")) as server:
        ways = WaysOut(resolver=Answers(mixed_test=["127.0.0.3 ::1 127.0.0.1"]))
        patterns = (f"mixed.test:{server.port}", f"127.0.0.1:{server.port}")
        async with asking(*patterns, ways=ways) as component:
            assert await component.text(f"http://mixed.test:{server.port}/") == "given"


async def test_no_proxy_is_asked_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(ok(b"proxied")) as proxy, serving(ok(b"direct")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.origin)
        monkeypatch.delenv("no_proxy", raising=False)
        async with asking(server.origin) as component:
            assert await component.text(server.origin) == "direct"
        assert proxy.connections == 0


@pytest.mark.parametrize(
    "given", ["https://127.0.0.1:{port}", "127.0.0.1", "127.0.0.1:1", "http://127.0.0.2:{port}"]
)
async def test_another_scheme_port_or_address_is_another_host(given: str) -> None:
    async with serving(ok(b"secret")) as server, asking(given.format(port=server.port)) as component:
        assert await component.failure(server.origin) == "HTTP-request-denied"
        assert server.connections == 0


async def test_what_belongs_to_the_connection_is_not_the_guests() -> None:
    theirs = {"HOST": b"other", "Transfer-Encoding": b"chunked", "connection": b"upgrade", "upgrade": b"x"}
    async with serving(ok()) as server, asking(server.origin) as component:
        await component.text(server.origin, headers=theirs)
    assert server.requests == [f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"]


async def test_a_refusal_is_told_once_with_the_pattern_that_would_allow_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    ways = WaysOut(resolver=Answers(db_test=["127.0.0.1"]))
    async with asking("db.test", ways=ways) as component:
        for _ in range(3):
            await component.failure("https://API.example.com:8443/a?secret")
            await component.failure("http://db.test/")
    told = [record.getMessage() for record in caplog.records if "request refused" in record.getMessage()]
    assert len(told) == 2
    assert "https://api.example.com:8443" in told[0] and "secret" not in told[0]
    assert "http://127.0.0.1" in told[1] and "loopback" in told[1]


async def test_a_guest_that_makes_names_up_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with asking() as component:
        for number in range(2 * TOLD_MAX):
            assert await component.failure(f"http://a{number}.example/") == "HTTP-request-denied"
    assert len(caplog.records) == TOLD_MAX + 1


NAMES = st.from_regex(
    r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?(\.[a-z][a-z0-9-]{0,10}[a-z0-9]){0,3}", fullmatch=True
)
PATHS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30).map("/".__add__)


@settings(deadline=None)
@given(
    st.sampled_from(["http", "https"]),
    NAMES | st.ip_addresses().map(str),
    st.none() | st.integers(1, 65535),
    PATHS,
)
def test_what_was_judged_is_what_the_client_reads(
    scheme: str, host: str, port: int | None, path: str
) -> None:
    """Two readings of one URL are how rules are mostly got around."""
    authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    asked = request("http://a", path_with_query=path)
    asked.scheme, asked.authority = scheme, authority
    try:
        destination, line = destination_of(asked), path_of(asked)
    except HttpFailure:
        assume(False)
    read = URL(f"{destination}{line}", encoded=True)
    assert (read.scheme, read.raw_host, read.port) == (scheme, str(destination.host), destination.port)
    assert (read.raw_user, read.raw_password, read.raw_fragment) == (None, None, "")
    assert read.raw_path_qs == line.removesuffix("?")
