"""The verbs with real providers: links that open, fail, recover and are purged, as operators see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from link_lattice import LinkLattice, link_lattice, spec

from lath.bus import Bus
from lath.config import ConfigStore
from lath.errors import LinkFailed
from lath.model import LinkSelector
from lath.provider import Link, Provider, ProviderInstance
from lath.server import Server
from lath.testing import eventually


class Backend(Provider):
    """Opens links whose config has a `url`; the backend answers checks while `up`."""

    up = True

    async def open_link(self, link: Link) -> str:
        if "url" not in link.config:
            raise ValueError("config lacks url")
        return link.config["url"]

    async def check_link(self, link: Link, held: str) -> None:
        if not self.up:
            raise ConnectionError("backend is down")


@pytest.fixture
async def lat(shared_nats_server: Server, lattice: str) -> AsyncIterator[LinkLattice]:
    async with asyncio.timeout(60), link_lattice(shared_nats_server.url, lattice) as made:
        yield made


async def provider(lat: LinkLattice, instance: str) -> tuple[Backend, ProviderInstance]:
    bus = await lat.stack.enter_async_context(await Bus.connect(lat.url, lattice=lat.bus.lattice, name="kv"))
    backend = Backend()
    made = ProviderInstance(backend, bus, provider_id="kv", instance_id=instance)
    await lat.stack.enter_async_context(made)
    await lat.seen(instance)
    return backend, made


async def test_a_put_waits_until_every_instance_has_opened_the_link(lat: LinkLattice) -> None:
    await ConfigStore(lat.bus).put("redis", {"url": "redis://x"})
    for instance in ("p1", "p2"):
        await provider(lat, instance)
    report = await lat.ops.put_and_wait(spec("app", "kv", config=["redis"]))
    assert report.verdict == "live"
    assert {view.instance_id for view in report.participants} == {"p1", "p2"}
    assert (await lat.ops.ping()).healthy


async def test_a_put_fails_with_the_providers_reason_and_a_corrected_config_makes_it_live(
    lat: LinkLattice,
) -> None:
    await provider(lat, "p1")
    configs = ConfigStore(lat.bus)
    await configs.put("redis", {"uri": "misspelt"})
    with pytest.raises(LinkFailed, match="config lacks url"):
        await lat.ops.put_and_wait(spec("app", "kv", config=["redis"]))
    (row,) = (await lat.ops.ping()).links
    assert (row.verdict, "config lacks url" in row.reason) == ("failed", True)
    await configs.put("redis", {"url": "redis://x"})

    async def live() -> bool:
        return (await lat.ops.ping()).healthy

    await eventually(live)


async def test_a_deleted_link_leaves_no_zombie(lat: LinkLattice) -> None:
    await ConfigStore(lat.bus).put("redis", {"url": "redis://x"})
    await provider(lat, "p1")
    await lat.ops.put_and_wait(spec("app", "kv", config=["redis"]))
    await lat.store.delete("app", "wasi", "keyvalue", "default")

    async def gone() -> bool:
        report = await lat.ops.ping()
        return report.links == () and report.orphans == ()

    await eventually(gone)


async def test_a_deep_ping_asks_the_backend(lat: LinkLattice) -> None:
    await ConfigStore(lat.bus).put("redis", {"url": "redis://x"})
    backend, _ = await provider(lat, "p1")
    await lat.ops.put_and_wait(spec("app", "kv", config=["redis"]))
    (row,) = (await lat.ops.ping(deep=True)).links
    assert row.verdict == "live" and row.participants[0].check_ms is not None
    backend.up = False
    assert (await lat.ops.ping()).healthy
    (row,) = (await lat.ops.ping(deep=True)).links
    assert (row.verdict, "backend is down" in row.reason) == ("failed", True)


async def test_a_purge_with_hold_lasts_until_a_pull(lat: LinkLattice) -> None:
    await ConfigStore(lat.bus).put("redis", {"url": "redis://x"})
    await provider(lat, "p1")
    await lat.ops.put_and_wait(spec("app", "kv", config=["redis"]))
    selector = LinkSelector(target="kv")
    assert (await lat.ops.purge(selector, hold=True)).complete
    assert [row.verdict for row in (await lat.ops.ping()).links] == ["purged"]
    assert (await lat.ops.pull(selector)).complete
    assert (await lat.ops.ping()).healthy


async def test_vping_tells_the_values_with_secrets_redacted(lat: LinkLattice) -> None:
    await ConfigStore(lat.bus).put("redis", {"url": "redis://x", "password": "hunter2"})
    await provider(lat, "p1")
    await lat.ops.put_and_wait(spec("app", "kv", config=["redis"]))
    values = (await lat.ops.vping()).links[0].participants[0].values
    assert values is not None
    assert values["url"] == "redis://x" and "hunter2" not in str(values)
