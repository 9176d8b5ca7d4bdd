"""The provider on a bus: links open, fail with a reason, heal, are purged, checked and closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from http_front import RawClient, hello

from lath.bus import Bus
from lath.config import ConfigStore
from lath.errors import Unavailable
from lath.http import HttpRequest, HttpResponse
from lath.links import LinkStore
from lath.model import HeldLink, Link, LinkSelector, LinkSpec
from lath.provider import Link as SeenLink
from lath.testing import eventually
from lath.testing.provider import ProviderTest
from lath_providers.http_server import HttpServer


class Answering(HttpServer):
    """Answers in the place of components, with the name of the link; waits where that is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()

    async def serve(self, link: SeenLink, request: HttpRequest, *, timeout_ms: int) -> HttpResponse:
        if request.path_with_query == "/wait":
            self.waiting.set()
            await self.go_on.wait()
        response = await hello(request)
        response.headers.append(("x-link", link.name.encode()))
        return response


class Web:
    """A running provider `web`, and what puts its links."""

    def __init__(self, bus: Bus, test: ProviderTest) -> None:
        self.bus = bus
        self.test = test
        self.links = LinkStore(bus)
        self.configs = ConfigStore(bus)

    async def put(self, name: str, **config: str) -> Link:
        await self.configs.put(f"web-{name}", config)
        spec = LinkSpec(
            source_id="web", target="app", name=name, wit_namespace="wasi", wit_package="http",
            interfaces=("incoming-handler",), source_config=(f"web-{name}",),
        )  # fmt: skip
        return await self.links.put(spec)

    async def link(self, name: str, **config: str) -> HeldLink:
        return await self.test.settled(await self.put(name, **config))

    async def delete(self, name: str) -> None:
        await self.links.delete("web", "wasi", "http", name)

    def held(self, name: str) -> HeldLink | None:
        found = self.test.instance.held(LinkSelector(name=name))
        return found[0] if found else None

    async def becomes(self, name: str, state: str) -> HeldLink:
        held: HeldLink = await eventually(
            lambda: held if (held := self.held(name)) and held.state == state else None
        )
        return held


@pytest.fixture
async def web(bus: Bus) -> AsyncIterator[Web]:
    async with ProviderTest(bus, Answering(), provider_id="web") as test:
        yield Web(bus, test)


@pytest.fixture
async def port() -> int:
    """One that was free a moment ago."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    found: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return found


async def got(port: int, path: str = "/", host: str = "localhost") -> Mapping[str, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with RawClient(reader, writer) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")
        answer = await client.answer()
        return {"status": str(answer.status), **dict(answer.headers)}


async def refused(port: int) -> None:
    """Waits until nobody listens."""

    async def nobody() -> bool:
        try:
            await got(port)
        except OSError as error:
            return "Connect call failed" in str(error)
        except asyncio.IncompleteReadError:
            pass  # accepted a moment before it was closed
        return False

    await eventually(nobody)


async def test_links_share_a_port_and_take_their_own_requests(web: Web, port: int) -> None:
    address = f"127.0.0.1:{port}"
    assert (await web.link("one", address=address, path="/one")).state == "active"
    assert (await web.link("two", address=address, hosts="two.org", methods="GET")).state == "active"
    assert (await got(port, "/one/x"))["x-link"] == "one"
    assert (await got(port, "/one", "two.org"))["x-link"] == "two"
    assert (await got(port, "/other"))["status"] == "404"
    await web.delete("one")

    async def gone() -> bool:
        return (await got(port, "/one"))["status"] == "404"

    await eventually(gone)
    assert (await got(port, "/one", "two.org"))["x-link"] == "two"
    await web.delete("two")
    await refused(port)


async def test_a_route_that_is_taken_fails_the_later_link_and_heals_when_the_other_goes(
    web: Web, port: int
) -> None:
    address = f"127.0.0.1:{port}"
    await web.link("one", address=address, path="/a")
    held = await web.link("two", address=address, path="/a/")
    assert held.state == "failed"
    assert held.error is not None
    assert "web.app.wasi.http.one" in held.error
    assert "path /a/" in held.error
    assert (await got(port, "/a"))["x-link"] == "one"
    await web.delete("one")
    await web.becomes("two", "active")
    assert (await got(port, "/a"))["x-link"] == "two"


async def test_settings_of_a_listener_that_disagree_fail_the_later_link_by_name(web: Web, port: int) -> None:
    address = f"127.0.0.1:{port}"
    await web.link("one", address=address, path="/one", idle_timeout_ms="1000")
    held = await web.link("two", address=address, path="/two")
    assert held.state == "failed"
    assert held.error is not None
    assert "idle_timeout_ms" in held.error
    assert "web.app.wasi.http.one" in held.error
    await web.configs.put("web-two", {"address": address, "path": "/two", "idle_timeout_ms": "1000"})
    await web.becomes("two", "active")
    assert (await got(port, "/two"))["x-link"] == "two"


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"address": "nowhere"}, "address"),
        ({"path": "a"}, "path"),
        ({"timeout_ms": "soon"}, "timeout_ms"),
        ({"tls_cert": "/nowhere/cert.pem", "tls_key": "/nowhere/key.pem"}, "tls_cert"),
        (
            {"colour": "red"},
            "colour: there is no such field; the fields are access_log, address, body_bytes_max",
        ),
        ({"address": "name.invalid:1"}, "name.invalid:1"),
    ],
)
async def test_a_wrong_value_fails_the_link_naming_the_field(
    web: Web, port: int, config: dict[str, str], named: str
) -> None:
    held = await web.link("one", **{"address": f"127.0.0.1:{port}", **config})
    assert held.state == "failed"
    assert named in (held.error or "")


async def test_an_address_in_use_fails_the_link_until_it_is_free(web: Web, port: int) -> None:
    other = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    held = await web.link("one", address=f"127.0.0.1:{port}")
    assert held.state == "failed"
    assert f"127.0.0.1:{port}" in (held.error or "")
    assert "in use" in (held.error or "")
    other.close()
    await other.wait_closed()
    await web.becomes("one", "active")
    assert (await got(port))["status"] == "200"


async def test_a_changed_config_holds_for_the_next_request(web: Web, port: int) -> None:
    address = f"127.0.0.1:{port}"
    await web.link("one", address=address, path="/a")
    await web.link("other", address=address, path="/other")
    await web.configs.put("web-one", {"address": address, "path": "/b"})

    async def moved() -> bool:
        return (await got(port, "/b")).get("x-link") == "one"

    await eventually(moved)
    assert (await got(port, "/a"))["status"] == "404"


async def test_a_change_keeps_the_port_its_connections_and_what_runs(web: Web, port: int) -> None:
    address = f"127.0.0.1:{port}"
    await web.link("one", address=address)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with (
        RawClient(reader, writer) as kept,
        RawClient(*await asyncio.open_connection("127.0.0.1", port)) as waiting,
    ):
        assert (await kept.get()).status == 200
        await waiting.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        provider = web.test.provider
        assert isinstance(provider, Answering)
        await provider.waiting.wait()
        await web.configs.put("web-one", {"address": address, "path": "/b"})

        async def changed() -> bool:
            answer = await kept.get("/b/c")
            assert answer.status in (200, 503)
            return answer.status == 200 and (await kept.get("/a")).status == 404

        await eventually(changed)
        provider.go_on.set()
        assert (await waiting.answer()).text == "hello\n"


async def test_an_instance_that_drains_finishes_what_runs_before_its_links_close(
    bus: Bus, web: Web, port: int
) -> None:
    await web.link("one", address=f"127.0.0.1:{port}")
    provider = web.test.provider
    assert isinstance(provider, Answering)
    async with RawClient(*await asyncio.open_connection("127.0.0.1", port)) as client:
        await client.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        await provider.waiting.wait()
        draining = asyncio.create_task(web.test.instance.drain(linger_ms=0))
        await refused(port)
        assert not draining.done()
        provider.go_on.set()
        answer = await client.answer()
        assert (answer.text, answer.header("connection")) == ("hello\n", "close")
        await draining


async def test_an_instance_that_is_closed_hard_ends_what_runs(bus: Bus, web: Web, port: int) -> None:
    await web.link("one", address=f"127.0.0.1:{port}")
    provider = web.test.provider
    assert isinstance(provider, Answering)
    async with RawClient(*await asyncio.open_connection("127.0.0.1", port)) as client:
        await client.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        await provider.waiting.wait()
        closing = asyncio.create_task(web.test.instance.close())
        assert (await client.answer()).status == 503
        assert await client.ended()
        await closing


async def test_a_purge_with_hold_closes_and_a_pull_opens_again(web: Web, port: int) -> None:
    held = await web.link("one", address=f"127.0.0.1:{port}")
    assert await web.test.instance.check(held.key) >= 0
    await web.test.instance.purge(LinkSelector(name="one"), hold=True)
    await refused(port)
    await web.test.instance.pull(LinkSelector(name="one"))
    assert (await got(port))["status"] == "200"


async def test_a_deep_ping_says_whether_the_listener_listens(web: Web, port: int) -> None:
    held = await web.link("one", address=f"127.0.0.1:{port}")
    _, place = web.test.instance.table.opened(held.key)
    for server in place.listener._servers:
        server.close()
    with pytest.raises(Unavailable, match="does not listen"):
        await web.test.instance.check(held.key)


async def test_port_0_is_a_free_one_for_each_link_and_told_in_the_log(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="lath.http")
    for name in ("one", "two"):
        assert (await web.link(name, address="127.0.0.1:0")).state == "active"
    opened = [record.msg for record in caplog.records if "http listener opened" in str(record.msg)]
    ports = [int(each["address"].rpartition(":")[2]) for each in opened]  # type: ignore[index]
    assert len(set(ports)) == 2
    assert sorted([(await got(port))["x-link"] for port in ports]) == ["one", "two"]


async def test_other_links_than_to_components_that_serve_http_are_refused(web: Web) -> None:
    backwards = LinkSpec(
        source_id="app",
        target="web",
        wit_namespace="wasi",
        wit_package="http",
        interfaces=("incoming-handler",),
    )
    held = await web.test.settled(await web.links.put(backwards))
    assert (held.state, "source" in (held.error or "")) == ("failed", True)
    other = LinkSpec(
        source_id="web", target="app", wit_namespace="wasi", wit_package="keyvalue", interfaces=("store",)
    )
    held = await web.test.settled(await web.links.put(other))
    assert (held.state, "wasi:http/incoming-handler" in (held.error or "")) == ("failed", True)


async def test_the_provider_has_no_config_of_its_own(bus: Bus) -> None:
    test = ProviderTest(bus, Answering(), provider_id="web", config={"address": "127.0.0.1:80"})
    with pytest.raises(Exception, match="put it into its links"):
        await test.instance.start()
