"""The messaging provider on NATS core: the contract of messaging providers, and what is its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from lath.bus import Bus
from lath.errors import LinkFailed
from lath.links import LinkStore
from lath.model import LinkSelector, LinkSpec
from lath.presence import PresenceView
from lath.provider import OpError, Provider
from lath.provider.outgoing import OutgoingCalls
from lath.server import Server
from lath.testing import eventually
from lath.testing.messaging import Components, Sends
from lath.testing.messaging_contract import MessagingContract
from lath.testing.provider import Linked, ProviderTest
from lath.verbs import LinkOps
from lath_providers.messaging_nats import MessagingNats, NatsSendingConfig

CONTROL_SUBJECTS = (
    "lath.rpc.default.kv.app.default.wasi.keyvalue.store.open", "lath.link.default.purge",
    "lath.evt.default.x", "wasmbus.ctl.v1.default.host.stop.N", "wasmbus.evt.default.component_scaled",
    "$JS.API.STREAM.DELETE.KV_lath-links-default", "$JS.ACK.s.c.1.2.3.4.5", "$JS.FC.s.c", "$SRV.PING",
    "$KV.lath-links-default.app.kv.wasi.keyvalue.default", "$O.lath-artifacts-default.C.x",
    "$SYS.REQ.SERVER.PING", "$SYS", "$", "$G.x",
)  # fmt: skip
"""What is a command to the lattice or its server."""


@pytest.fixture
async def other_server() -> AsyncIterator[Server]:
    async with Server() as server:
        yield server


class TestMessagingNats(MessagingContract):
    def make_provider(self) -> Provider:
        return MessagingNats()

    # --- subjects ------------------------------------------------------------------------------------

    async def test_on_the_lattices_bus_its_own_subjects_are_out_of_reach(self, app: Sends) -> None:
        for subject in CONTROL_SUBJECTS:
            for attempt in (
                app.publish(subject, b"{}"),
                app.request(subject, b"{}"),
                app.publish("fine", b"", subject),
            ):
                with pytest.raises(
                    OpError, match=r"permission_denied: .* belongs to the lattice or its server"
                ):
                    await attempt

    async def test_they_are_out_of_reach_however_the_link_spells_the_bus_and_whatever_it_allows(
        self, components: Components, nats_server: Server
    ) -> None:
        spelled = nats_server.url.replace("127.0.0.1", "localhost")
        app = await components.sender(url=spelled, publish_allow=">, $JS.>, lath.>")
        for subject in CONTROL_SUBJECTS:
            with pytest.raises(OpError, match="permission_denied"):
                await app.request(subject)

    async def test_on_another_server_they_are_subjects_like_others(
        self, components: Components, other_server: Server
    ) -> None:
        app = await components.sender(url=other_server.url)
        assert b"streams" in (await app.request("$JS.API.INFO")).body
        inbox = await components.taker("lath.>, $KV.x", url=other_server.url)
        await app.publish("lath.rpc.x", b"1")
        await app.publish("$KV.x", b"2")
        await inbox.has(b"1", b"2")

    @pytest.mark.parametrize(
        "pattern",
        [">", "*", "*.new", "lath.>", "lath", "wasmbus.evt.>", "$JS.>", "$KV.>", "_INBOX.>", "_INBOX_kv.>"],
    )  # fmt: skip
    async def test_on_the_lattices_bus_nothing_of_its_own_is_subscribed_to(
        self, components: Components, pattern: str
    ) -> None:
        with pytest.raises(LinkFailed, match="the lattice"):
            await components.feed("app", subscriptions=pattern)

    async def test_what_a_consumer_aims_at_a_subscription_is_no_message(
        self, components: Components, app: Sends, bus: Bus
    ) -> None:
        inbox = await components.taker("orders")
        await bus.publish("orders", b"aimed", reply="$JS.ACK.s.c.1.2.3.4.5")
        await app.publish("orders", b"sent")
        await inbox.has(b"sent")

    async def test_the_server_says_what_the_credentials_may_not(self, components: Components) -> None:
        users = [{"user": "narrow", "password": "pw",
                  "permissions": {"publish": ["ok"], "subscribe": ["ok", "_INBOX.>"]}}]  # fmt: skip
        async with Server(config={"authorization": {"users": users}}) as server:
            login = {"url": server.url, "user": "narrow", "password": "pw"}
            with pytest.raises(LinkFailed, match="not permit subscribing to forbidden"):
                await components.feed("app", subscriptions="ok, forbidden", **login)
            app = await components.sender(**login)
            with pytest.raises(OpError, match=r"permission_denied: .*forbidden"):
                await app.request("forbidden")
            with pytest.raises(LinkFailed) as caught:
                await components.sender(url=server.url, user="narrow", password="hunter2")
            assert "hunter2" not in str(caught.value)

    # --- instances and connections -------------------------------------------------------------------

    async def test_the_instances_of_the_provider_share_a_links_messages(
        self, components: Components, app: Sends, bus: Bus, nats_server: Server
    ) -> None:
        second = ProviderTest(bus, self.make_provider(), nats_url=nats_server.url)
        async with second:
            name, inbox = await components.inbox()
            link = await components.feed(name, subscriptions="orders")
            assert (await second.settled(link)).state == "active"
            bodies = [b"%d" % number for number in range(100)]
            for body in bodies:
                await app.publish("orders", body)
            await inbox.has(*bodies)

    async def test_links_share_one_connection_which_a_purge_closes(
        self, components: Components, bus: Bus, nats_server: Server, running: ProviderTest
    ) -> None:
        links = await asyncio.gather(
            *(components.put_feed(f"c-{each}", subscriptions=f"orders.{each}") for each in range(50))
        )
        for link in links:
            assert (await running.settled(link)).state == "active"
        assert await _connected(nats_server, 1)
        _, inbox = await components.inbox("c-37")
        app = await components.sender()
        await app.publish("orders.37", b"1")
        await inbox.has(b"1")
        assert await _connected(nats_server, 1)
        await running.instance.purge(LinkSelector(), hold=True)
        assert await _connected(nats_server, 0)

    async def test_links_with_other_servers_or_credentials_have_connections_of_their_own(
        self, components: Components, other_server: Server, nats_server: Server
    ) -> None:
        one, other = await components.sender(), await components.sender(url=other_server.url)
        inbox, others = (
            await components.taker("orders"),
            await components.taker("orders", url=other_server.url),
        )
        await one.publish("orders", b"1")
        await other.publish("orders", b"2")
        await inbox.has(b"1")
        await others.has(b"2")
        assert await _connected(nats_server, 1)
        assert await _connected(other_server, 1)

    async def test_a_backend_that_goes_away_fails_the_links_both_ways_until_it_is_back(
        self, components: Components, other_server: Server, running: ProviderTest
    ) -> None:
        app = await components.sender(url=other_server.url)
        name, inbox = await components.inbox()
        feed = await components.feed(name, subscriptions="orders", url=other_server.url)
        await app.publish("orders", b"1")
        await inbox.has(b"1")
        await other_server.stop()
        for key in (feed.key, app.linked.link.key):
            held = await eventually(lambda key=key: _failed(running, key))
            assert "is lost" in held.error or str(other_server.port) in held.error
        with pytest.raises(LinkFailed, match=r"is lost|reach"):
            await app.publish("orders", b"lost")
        await other_server.start()
        await eventually(
            lambda: {each.state for each in running.instance.held(LinkSelector())} == {"active"}, 20
        )
        await app.publish("orders", b"2")
        await inbox.has(b"1", b"2")
        assert await _connected(other_server, 1)


def _failed(running: ProviderTest, key: str):
    return next(
        (each for each in running.instance.held(LinkSelector()) if (each.key, each.state) == (key, "failed")),
        None,
    )


async def _connected(server: Server, count: int) -> bool:
    """Waits until the server has so many connections of the provider."""

    async def counted() -> bool:
        names = [each.get("name", "") for each in (await server.connz())["connections"]]
        assert sum(name.startswith("lath-messaging") for name in names) == count
        return True

    return await eventually(counted)


def test_the_config_hides_its_secrets() -> None:
    config = NatsSendingConfig.model_validate({"user": "u", "password": "hunter2", "token": ""})
    assert "hunter2" not in repr(config)


async def test_as_a_process_of_its_own_it_uses_the_lattices_bus(bus: Bus, nats_server: Server) -> None:
    flags = ["--nats-url", nats_server.url, "--lattice", bus.lattice, "--id", "messages"]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lath_providers.messaging_nats", *flags, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        spec = LinkSpec(
            source_id="app", target="messages",
            wit_namespace="wasmcloud", wit_package="messaging", interfaces=("consumer",),
        )  # fmt: skip
        async with PresenceView(bus) as presence:
            await eventually(lambda: presence.instances("messages"), 30)
            links = LinkOps(bus, presence, LinkStore(bus))
            assert (await links.put_and_wait(spec, 10_000)).verdict == "live"
            await links.close()
        link = (await LinkStore(bus).list()).links[spec.key]
        calls = OutgoingCalls(bus, "app")
        with pytest.raises(OpError, match="nobody listens on orders"):
            await Sends(Linked(calls, link)).request("orders")
        await calls.close()
        child.terminate()
        async with asyncio.timeout(20):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
