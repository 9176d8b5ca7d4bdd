"""Guests reach real servers by what their tools give them, and no others."""

from __future__ import annotations

import pytest
from http_served import serving_pool
from outbound_servers import Answers, ok, serving

from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.surroundings import Surroundings
from lath_host.outbound.client import OutgoingClient
from lath_host.outbound.ways import WaysOut

pytestmark = pytest.mark.timeout(300)


async def fetched(engine: Engine, web: CompiledComponent, url: str, *allowed_hosts: str) -> str:
    ways = WaysOut(resolver=Answers(inside_example=["127.0.0.1"]))
    client = OutgoingClient("web", allowed_hosts, ways)
    try:
        async with serving_pool(engine, web, surroundings=Surroundings(outbound=client)) as guest:
            return await guest.text("/fetch?" + url)
    finally:
        await client.close()


async def test_a_guest_fetches_from_a_host_that_it_was_given(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    async with serving(ok(b"from there")) as server:
        text = await fetched(python_engine, python_web, server.origin + "/a?b", server.origin)
        assert text == "from there"
    assert server.requests == [f"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nx-asked: 1\r\n\r\n"]


@pytest.mark.parametrize(
    ("url", "allowed", "told"),
    [
        ("http://127.0.0.1:{port}/", [], "ErrorCode_HttpRequestDenied"),
        ("http://127.0.0.1:{port}/", ["*"], "ErrorCode_DestinationIpProhibited"),
        ("http://inside.example:{port}/", ["*"], "ErrorCode_DestinationIpProhibited"),
        ("http://127.1:{port}/", ["*"], "ErrorCode_HttpRequestUriInvalid"),
        ("http://nowhere.invalid/", ["*"], "ErrorCode_DnsError"),
    ],
)
async def test_a_guest_is_told_why_it_reaches_no_other(
    python_engine: Engine, python_web: CompiledComponent, url: str, allowed: list[str], told: str
) -> None:
    async with serving(ok(b"secret")) as server:
        assert await fetched(python_engine, python_web, url.format(port=server.port), *allowed) == told
        assert server.connections == 0
