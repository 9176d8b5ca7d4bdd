"""A host, its provider and an operator's client, each with credentials that allow no more than they need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import guests
import pytest
from asking_provider import Asking
from http_components import ECHO as ECHO_HTTP
from http_served import chunks, whole

from lath import subjects
from lath.bus import Bus, Credentials
from lath.bus.permissions import client_permissions, host_permissions, provider_permissions, user
from lath.http import HttpRequest
from lath.provider import Link, ProviderInstance
from lath.server import Server
from lath.testing import eventually
from lath_host.testing import HostFactory, InProcessLattice

LATTICE = "guarded"
ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"
WORDS = (Path(__file__).parents[1] / "support/words_provider.py").as_uri()


def credentials(name: str) -> Credentials:
    return Credentials(user=name, password="p", inbox_prefix=subjects.inbox_prefix(name))


@pytest.fixture
async def nats_server() -> AsyncIterator[Server]:
    users = [
        user("host-a", "p", host_permissions(LATTICE, "host-a")),
        user("host-b", "p", host_permissions(LATTICE, "host-b")),
        user("words", "p", provider_permissions(LATTICE, "words")),
        user("operator", "p", client_permissions(LATTICE, "operator")),
    ]
    async with Server(config={"authorization": {"users": users}}) as server:
        yield server


@pytest.fixture
def lattice() -> str:
    return LATTICE


async def test_the_main_job_works_with_least_privilege(nats_server: Server, hosts: HostFactory) -> None:
    bus = await Bus.connect(
        nats_server.url, lattice=LATTICE, name="operator", credentials=credentials("operator")
    )
    async with bus, InProcessLattice(bus, nats_server, hosts) as lattice:
        own = {"provider_credentials": {"words": credentials("words")}}
        await lattice.add_hosts(1, credentials=credentials("host-a"), **own)
        (other,) = await lattice.add_hosts(1, credentials=credentials("host-b"), **own)
        async with lattice.events() as events:
            fields = {"provider_id": "words", "provider_ref": WORDS, "host_id": other.id}
            reply = await lattice.ask("provider", "start", other.id, **fields)
            assert reply.success, reply.message
            event = await events.wait("provider_started", "provider_start_failed", provider_id="words")
            assert event.name == "provider_started", event.data
        middle = "test:words/middle@1.0.0"
        await lattice.start_component("front", guests.relay(imported=middle))
        await lattice.start_component("middle", guests.relay(exported=middle), host=other)
        assert (await lattice.ask("config", "put", "c", prefix="c:")).success
        await lattice.link("front", "middle", middle)
        await lattice.link("middle", "words", ECHO, target_config=["c"])
        await eventually(lambda: lattice.presence.instances("front"))
        assert await lattice.call("front", FRONT, "say", "hello") == "c:hello"
        large = "x" * 2_000_000
        assert await lattice.call("front", FRONT, "say", large) == "c:" + large
        report = (await lattice.ask("link", "ping", deep=True, timeout_ms=3000)).response
        assert [link["verdict"] for link in report["links"]] == ["live", "live"], report
        assert report["silent"] == []


async def test_a_provider_asks_over_http_with_no_more_than_its_own_permissions(
    nats_server: Server, hosts: HostFactory
) -> None:
    operator = await Bus.connect(
        nats_server.url, lattice=LATTICE, name="operator", credentials=credentials("operator")
    )
    async with (
        operator,
        InProcessLattice(operator, nats_server, hosts) as lattice,
        await Bus.connect(
            nats_server.url, lattice=LATTICE, name="words", credentials=credentials("words")
        ) as bus,
        ProviderInstance(Asking(), bus, provider_id="words") as provider,
    ):
        await lattice.add_hosts(1, credentials=credentials("host-a"))
        event = await lattice.start_component("site", ECHO_HTTP)
        assert event.name == "component_scaled", event.data
        record = await lattice.link("words", "site", "wasi:http/incoming-handler")
        await provider.settled(record.key, record.revision)
        for pieces in ([b"small"], [bytes(1_000_000)] * 20, [b"x"] * 3_000):
            request = HttpRequest(method="POST", body=chunks(*pieces))
            response = await provider.http(Link.of(record, "words"), request)
            assert await whole(response) == b"".join(pieces)
