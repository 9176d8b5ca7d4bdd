"""A component in JavaScript, built by componentize-js, behind the built-in server; skipped without it."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from compiled import compile_ahead
from http_front import free_port
from javascript_guest import build_javascript_example, why_no_javascript
from outbound_servers import ok, serving

from lath.config import ConfigStore
from lath.testing import eventually
from lath_host.testing import InProcessLattice

pytestmark = [
    pytest.mark.skipif(bool(why_no_javascript()), reason=why_no_javascript()),
    pytest.mark.xdist_group("slow"),
    pytest.mark.timeout(300),
]
HANDLER = "wasi:http/incoming-handler"
SERVER = {"provider_id": "web", "provider_ref": "builtin:http-server"}


@pytest.fixture(scope="session")
def component(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("javascript") / "hello-js.wasm"
    build_javascript_example(path)
    compile_ahead(path)
    return path


class Site:
    """The component, as clients on the network find it."""

    def __init__(self, lattice: InProcessLattice, component: Path, session: aiohttp.ClientSession) -> None:
        self.lattice = lattice
        self.ask = session.request
        self._component = component

    async def start(self, **settings: object) -> None:
        event = await self.lattice.start_component("app", self._component, **settings)
        assert event.name == "component_scaled", event.data

    async def text(self, path: str, **request: object) -> tuple[int, str]:
        async with self.ask("GET", path, **request) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def site(lattice_in_process: InProcessLattice, component: Path) -> AsyncIterator[Site]:
    lattice = lattice_in_process
    host, address = lattice.hosts[0].id, f"127.0.0.1:{await free_port()}"
    assert (await lattice.ask("provider", "start", host, host_id=host, **SERVER)).success
    async with aiohttp.ClientSession(f"http://{address}") as session:
        site = Site(lattice, component, session)
        await site.start()
        await ConfigStore(lattice.bus).put("web", {"address": address})
        await lattice.link("web", "app", HANDLER, source_config=["web"])
        await eventually(lambda: _answers(site), 30, what=address)
        yield site


async def _answers(site: Site) -> bool:
    try:
        return await site.text("/") == (200, "hello\n")
    except aiohttp.ClientConnectionError:
        return False


async def test_requests_are_answered_and_each_finds_the_engine_fresh(site: Site) -> None:
    assert await asyncio.gather(*(site.text("/") for _ in range(20))) == [(200, "hello\n")] * 20
    assert await site.text("/later") == (200, "20 ms later\n")
    assert await site.text("/nowhere") == (404, "no such page\n")


async def test_json_headers_and_status_pass_both_ways(site: Site) -> None:
    async with site.ask("POST", "/greet", json={"name": "Ada"}) as answer:
        assert (answer.status, answer.headers["x-greeted"]) == (201, "Ada")
        assert answer.content_type == "application/json"
        assert await answer.json() == {"greeting": "hello Ada"}


async def test_a_body_streams_through(site: Site) -> None:
    body = os.urandom(4 << 20)
    async with site.ask("PUT", "/echo", data=io.BytesIO(body)) as answer:
        assert (answer.status, answer.headers["x-method"]) == (200, "PUT")
        assert await answer.read() == body


async def test_fetch_reaches_the_hosts_that_the_component_was_given_and_no_others(site: Site) -> None:
    async with serving(ok(b"there")) as server:
        asked = {"url": server.origin}
        async with site.ask("GET", "/ask", params=asked) as answer:
            assert answer.status == 500  # the engine's, for an error that nobody catches
        assert server.connections == 0
        await site.start(allowed_hosts=[server.origin])
        assert await site.text("/ask", params=asked) == (200, "there")
        assert "x-asked-by: hello-js" in server.requests[0]


async def test_an_error_that_is_thrown_ends_its_own_request_alone(site: Site) -> None:
    async with site.ask("GET", "/throw") as answer:
        assert answer.status in (500, 502)  # the engine's, unless its body is known to be broken by then
    assert await site.text("/") == (200, "hello\n")
