"""One component uses two backends of wasi:keyvalue at once: a cache in its host's memory, and Redis."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import keyvalue_guests
import pytest
from keyvalue_guests import FRONT, STORE
from redis_server import PASSWORD, RedisServer, redis_server

from lath.errors import LathError
from lath_host.testing import HostProcess, InProcessLattice

MakeProcess = Callable[..., Awaitable[HostProcess]]


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


async def start(lattice: InProcessLattice, provider_id: str, ref: str, host_id: str = "") -> None:
    host_id = host_id or lattice.hosts[0].id
    fields = {"provider_id": provider_id, "provider_ref": ref, "host_id": host_id}
    async with lattice.events() as events:
        assert (await lattice.ask("provider", "start", host_id, **fields)).success
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


async def test_a_host_that_is_killed_loses_no_write_that_its_component_saw_acknowledged(
    lattice_in_process: InProcessLattice, process: MakeProcess, redis: RedisServer
) -> None:
    lattice = lattice_in_process
    bucket = f"two-{secrets.token_hex(4)}"
    doomed = await process("--name", "doomed")
    await start(lattice, "redis", "builtin:keyvalue-redis", doomed.id)
    await lattice.start_component("app", keyvalue_guests.by_label(), host=doomed.id)
    config = {"url": redis.url, "password": PASSWORD, "bucket": bucket}
    assert (await lattice.ask("config", "put", "app-redis", **config)).success
    await lattice.link("app", "redis", STORE, name="store", target_config=["app-redis"])
    assert await lattice.call("app", FRONT, "write", "first") == "first"
    acknowledged = ["first"]
    amid = asyncio.Event()

    async def write(key: str) -> None:
        assert await lattice.call("app", FRONT, "write", key, timeout_ms=3_000) == key
        acknowledged.append(key)
        if len(acknowledged) == 10:
            amid.set()

    writing = [asyncio.ensure_future(write(f"key-{number}")) for number in range(200)]
    async with asyncio.timeout(20):
        await amid.wait()
    doomed.signal(signal.SIGKILL)
    await doomed.exited()
    ended = await asyncio.gather(*writing, return_exceptions=True)
    assert all(isinstance(each, LathError | None) for each in ended)
    with redis.client() as client:
        kept = client.mget([f"{bucket}:{key}" for key in acknowledged])
    assert kept == [key.encode() for key in acknowledged]
