"""One component uses two backends of wasi:keyvalue at once: a cache in its host's memory, and Redis."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import keyvalue_guests
import pytest
from keyvalue_guests import FRONT, STORE
from redis_server import PASSWORD, RedisServer, redis_server

from lath_host.testing import InProcessLattice


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def _offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that offers both providers, as lath's own does where it is installed."""
    metadata = tmp_path / "stores-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stores\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[lath.providers]\n"
        "memory-store = lath_providers.keyvalue_memory:KeyValueMemory\n"
        "redis-store = lath_providers.keyvalue_redis:KeyValueRedis\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


async def start(lattice: InProcessLattice, provider_id: str, ref: str) -> None:
    fields = {"provider_id": provider_id, "provider_ref": ref, "host_id": lattice.hosts[0].id}
    async with lattice.events() as events:
        assert (await lattice.ask("provider", "start", lattice.hosts[0].id, **fields)).success
        event = await events.wait("provider_started", "provider_start_failed", provider_id=provider_id)
    assert event.name == "provider_started", event.data


@pytest.mark.parametrize("component", ["by_label", "by_link_name"])
@pytest.mark.parametrize("redis_ref", ["builtin:redis-store", "python:lath_providers.keyvalue_redis"])
@pytest.mark.usefixtures("_offered")
async def test_a_cache_in_memory_stands_before_redis(
    lattice_in_process: InProcessLattice, redis: RedisServer, component: str, redis_ref: str
) -> None:
    lattice = lattice_in_process
    bucket = f"two-{secrets.token_hex(4)}"
    await start(lattice, "memory", "builtin:memory-store")
    await start(lattice, "redis", redis_ref)
    await lattice.start_component("app", getattr(keyvalue_guests, component)())
    config = {"url": redis.url, "password": PASSWORD, "bucket": bucket}
    assert (await lattice.ask("config", "put", "app-redis", **config)).success
    await lattice.link("app", "redis", STORE, name="store", target_config=["app-redis"])
    await lattice.link("app", "memory", STORE, name="cache")

    assert await lattice.call("app", FRONT, "read", "ada") == "(none)"
    assert await lattice.call("app", FRONT, "write", "ada") == "ada"
    assert await lattice.call("app", FRONT, "read", "ada") == "ada"
    with redis.client() as client:
        assert client.get(f"{bucket}:ada") == b"ada"
        client.set(f"{bucket}:ada", "changed behind the cache")
        client.set(f"{bucket}:bob", "not read before")
    assert await lattice.call("app", FRONT, "read", "ada") == "ada"  # the cache answered
    assert await lattice.call("app", FRONT, "read", "bob") == "not read before"


@pytest.mark.parametrize("component", ["by_label", "by_link_name"])
@pytest.mark.usefixtures("_offered")
async def test_of_two_stores_the_one_that_is_down_fails_alone(
    lattice_in_process: InProcessLattice, component: str
) -> None:
    lattice = lattice_in_process
    await start(lattice, "memory", "builtin:memory-store")
    await start(lattice, "redis", "builtin:redis-store")
    await lattice.start_component("app", getattr(keyvalue_guests, component)())
    assert (await lattice.ask("config", "put", "app-redis", url="redis://127.0.0.1:1")).success
    await lattice.link("app", "redis", STORE, name="cache", target_config=["app-redis"])
    await lattice.link("app", "memory", STORE, name="store")
    assert await lattice.call("app", FRONT, "write", "ada") == "ada"
    answer = await lattice.call("app", FRONT, "read", "ada")
    assert answer.startswith("link_failed: ") and "redis://127.0.0.1:1/0" in answer
