"""A provider with least-privilege credentials works, and does all that a provider does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pytest_asyncio import fixture

from lath import subjects
from lath.bus import Bus, Credentials, ensure_buckets
from lath.bus.permissions import provider_permissions, user
from lath.errors import LinkNotFound, PermissionDenied
from lath.links import LinkStore
from lath.model import LinkEvent, LinkSelector
from lath.presence import PresenceView
from lath.provider import Link, Provider
from lath.provider.outgoing import OutgoingCalls
from lath.server import Server
from lath.testing import eventually
from lath.testing.keyvalue_contract import STORE, Opened
from lath.testing.memory_keyvalue import MemoryKeyValue
from lath.testing.provider import ProviderTest
from lath.verbs import LinkOps
from lath_providers.keyvalue_nats import KeyValueNats

LATTICE = "private"
ALL = LinkSelector()


@fixture
async def server() -> AsyncIterator[Server]:
    users = [
        user("admin", "p"),
        user("kv", "p", provider_permissions(LATTICE, "kv")),
        user("cron", "p", provider_permissions(LATTICE, "cron")),
    ]
    async with Server(config={"authorization": {"users": users}}) as started:
        yield started


def credentials_of(name: str) -> Credentials:
    return Credentials(user=name, password="p", inbox_prefix=subjects.inbox_prefix(name))


async def connect(server: Server, name: str) -> Bus:
    return await Bus.connect(server.url, lattice=LATTICE, name=name, credentials=credentials_of(name))


@fixture
async def admin(server: Server) -> AsyncIterator[Bus]:
    async with await connect(server, "admin") as bus:
        await ensure_buckets(bus)
        yield bus


@fixture
async def kv(server: Server, admin: Bus) -> AsyncIterator[ProviderTest]:
    async with (
        await connect(server, "kv") as bus,
        ProviderTest(bus, MemoryKeyValue(), provider_id="kv", operator=admin) as test,
    ):
        yield test


async def test_it_pulls_its_links_serves_calls_of_any_size_and_tells_its_states(
    admin: Bus, kv: ProviderTest
) -> None:
    told: list[LinkEvent] = []

    async def hear(msg: object) -> None:
        told.append(LinkEvent.model_validate_json(msg.data))  # type: ignore[attr-defined]

    await admin.subscribe(subjects.lath_events_pattern(LATTICE), hear)
    await admin.flush()
    linked = await kv.link()
    bucket = Opened(linked, await linked.call(STORE, "open", ""))
    for size in (0, 10_000, 3_000_000):
        await bucket.set("key", bytes(size))
        assert await bucket.get("key") == bytes(size)
    await eventually(lambda: told)


async def test_it_answers_the_link_verbs(admin: Bus, kv: ProviderTest) -> None:
    await kv.link()
    async with PresenceView(admin) as presence:
        await eventually(lambda: presence.instances("kv"))
        ops = LinkOps(admin, presence, LinkStore(admin))
        assert (await ops.ping(ALL, deep=True)).healthy
        assert (await ops.purge(ALL, hold=True)).complete
        assert [link.verdict for link in (await ops.ping(ALL)).links] == ["purged"]
        assert (await ops.pull(ALL)).complete
        assert (await ops.ping(ALL)).healthy
        await ops.close()


async def test_it_calls_by_its_own_links_and_by_nothing_else(
    server: Server, admin: Bus, kv: ProviderTest
) -> None:
    opened: list[Link] = []

    class Cron(Provider):
        async def open_source_link(self, link: Link) -> None:
            opened.append(link)

    async with (
        await connect(server, "cron") as bus,
        ProviderTest(bus, Cron(), provider_id="cron", operator=admin) as cron,
    ):
        link = await kv.put(source="cron")
        await kv.settled(link)
        await cron.settled(link)
        await cron.instance.call(opened[0], STORE, "open", "")
        await kv.link(source="app")
        stranger = Link.of(link.model_copy(update={"name": "other"}), "cron")
        with pytest.raises(LinkNotFound):
            await cron.instance.call(stranger, STORE, "open", "")
        impostor = OutgoingCalls(bus, "app")
        app_link = Link.of(link.model_copy(update={"source_id": "app"}), "app")
        with pytest.raises(PermissionDenied):
            await impostor.call(app_link, STORE, "open", "")
        await impostor.close()


async def test_keyvalue_on_nats_uses_other_credentials_for_its_backend(server: Server, admin: Bus) -> None:
    async with await connect(server, "kv") as bus:
        test = ProviderTest(
            bus, KeyValueNats(), provider_id="kv", nats_url=server.url, operator=admin,
            credentials=credentials_of("kv"),
        )  # fmt: skip
        async with test:
            config = {"url": server.url, "user": "admin", "password": "p", "bucket": "mine"}
            linked = await test.link(config=config)
            bucket = Opened(linked, await linked.call(STORE, "open", ""))
            await bucket.set("key", b"1")
            assert await bucket.get("key") == b"1"
            wrong = await test.put(name="wrong", config={**config, "password": "guess"})
            held = await test.settled(wrong)
            assert held.state == "failed"
            assert "guess" not in (held.error or "")
            unasked = await test.put(name="unasked", config={"bucket": "mine"})
            assert "does not permit" in ((await test.settled(unasked)).error or "")
