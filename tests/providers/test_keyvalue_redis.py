"""The keyvalue provider on Redis passes the contracts of keyvalue providers and of backends."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme
from ports import free_port
from pytest_asyncio import fixture
from redis_server import LIMITED_USER, PASSWORD, RedisServer, redis_server

from lath.bus import Bus
from lath.model import LinkSelector
from lath.provider import OpError, Provider
from lath.testing import eventually
from lath.testing.backend_contract import BackendContract
from lath.testing.keyvalue_contract import STORE, KeyValueContract, Opened
from lath.testing.provider import Linked, ProviderTest
from lath_providers.keyvalue_redis import KeyValueRedis, KeyValueRedisConfig


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def config_of(server: RedisServer, **more: str) -> dict[str, str]:
    """A bucket of its own on a server."""
    return {"url": server.url, "password": PASSWORD, "bucket": f"test-{secrets.token_hex(8)}", **more}


class TestKeyValueRedis(KeyValueContract):
    @pytest.fixture(autouse=True)
    def redis(self, server: RedisServer) -> None:
        self.server = server

    def make_provider(self) -> Provider:
        return KeyValueRedis()

    def link_config(self) -> dict[str, str]:
        return config_of(self.server)

    async def test_a_link_without_a_bucket_gets_one_of_its_own(self, running: ProviderTest) -> None:
        config = {"url": self.server.url, "password": PASSWORD}
        one = await self.open(await running.link(source="one", config=config))
        other = await self.open(await running.link(source="other", config=config))
        await one.set("key", b"1")
        assert await other.get("key") is None
        assert await other.all_keys() == []

    async def test_further_buckets_are_opened_where_the_link_allows_them(self, running: ProviderTest) -> None:
        linked = await running.link(config={**self.link_config(), "buckets": "shared-1, shared-2"})
        own, shared = await self.open(linked), await self.open(linked, "shared-2")
        await shared.set("key", b"shared")
        assert await own.get("key") is None
        assert await shared.get("key") == b"shared"
        await shared.delete("key")

    async def test_other_programs_read_and_write_the_same_keys(self, running: ProviderTest) -> None:
        config = self.link_config()
        bucket = await self.open(await running.link(config=config))
        await bucket.set("written-here", b"1")
        with self.server.client() as client:
            assert client.get(f"{config['bucket']}:written-here") == b"1"
            client.set(f"{config['bucket']}:written-there", b"41")
            client.expire(f"{config['bucket']}:written-there", 1_000)
            assert await bucket.increment("written-there", 1) == 42
            assert client.ttl(f"{config['bucket']}:written-there") > 0  # an increment leaves it be
            client.rpush(f"{config['bucket']}:list", "not a value")
        with pytest.raises(OpError) as caught:
            await bucket.get("list")
        assert "another program wrote it" in caught.value.payload.payload

    async def test_a_prefix_of_ones_own_may_be_empty(self, running: ProviderTest) -> None:
        key = secrets.token_hex(8)
        bucket = await self.open(await running.link(config={**self.link_config(), "prefix": ""}))
        await bucket.set(key, b"1")
        with self.server.client() as client:
            assert client.get(key) == b"1"

    async def test_a_prefix_with_signs_of_patterns_lists_its_own_keys(self, running: ProviderTest) -> None:
        config = {**self.link_config(), "prefix": r"[a-z]*?\{bucket}:"}
        own = await self.open(await running.link(config=config))
        other = await self.open(await running.link(name="x", config={**self.link_config(), "prefix": "b"}))
        await other.set("key", b"1")
        await own.set("key", b"1")
        assert await own.all_keys() == ["key"]

    @pytest.mark.parametrize(
        ("before", "delta", "after"),
        [
            (b"0", 0, 0),
            (b"007", 1, 8),
            (b"9999999", 1, 10_000_000),
            (b"99999999999999", 1, 10**14),
            (b"18446744073709551614", 1, 2**64 - 1),
            (b"9223372036854775807", 2**63, 2**64 - 1),
            (b"123456789012", 987654321098, 1111111110110),
        ],
    )
    async def test_sums_are_exact_beyond_what_a_float_holds(
        self, bucket: Opened, before: bytes, delta: int, after: int
    ) -> None:
        await bucket.set("n", before)
        assert await bucket.increment("n", delta) == after
        assert await bucket.get("n") == str(after).encode()

    @pytest.mark.parametrize("text", [b"", b"-1", b"1.5", b"1e3", b"0x10", b" 1", b"1" * 21, b"\xff"])
    async def test_what_looks_like_a_number_and_is_none_is_refused(self, bucket: Opened, text: bytes) -> None:
        await bucket.set("n", text)
        with pytest.raises(OpError) as caught:
            await bucket.increment("n", 1)
        assert "no decimal number" in caught.value.payload.payload
        assert await bucket.get("n") == text

    async def test_an_increment_works_after_the_server_forgot_its_scripts(self, bucket: Opened) -> None:
        assert await bucket.increment("n", 1) == 1
        with self.server.client() as client:
            client.script_flush()
        assert await bucket.increment("n", 1) == 2

    async def test_a_small_bucket_in_a_large_database_is_listed_whole(self, running: ProviderTest) -> None:
        many = await self.open(await running.link(name="many", config=self.link_config()))
        few = await self.open(await running.link(name="few", config=self.link_config()))
        await many.batch("set-many", [(f"key-{number}", b"") for number in range(5_000)])
        await few.set("only", b"1")
        assert await few.all_keys() == ["only"]
        assert len(await many.all_keys()) == 5_000
        await many.batch("delete-many", [f"key-{number}" for number in range(5_000)])
        assert await many.all_keys() == []

    async def test_calls_in_flight_share_few_connections(self, running: ProviderTest) -> None:
        config = {**self.link_config(), "connections_max": "2"}
        bucket = await self.open(await running.link(name="shared", config=config))
        await asyncio.gather(*(bucket.set(f"key-{number}", b"1") for number in range(500)))
        with self.server.client() as client:
            names = [each["name"] for each in client.client_list()]
        assert 1 <= names.count("lath-kv:app:shared") <= 2

    async def test_what_the_user_may_not_do_is_an_error_in_words(self, running: ProviderTest) -> None:
        config = {"url": self.server.url, "user": LIMITED_USER, "password": PASSWORD, "bucket": "allowed"}
        bucket = await self.open(await running.link(config=config))
        await bucket.set("key", b"1")
        assert await bucket.get("key") == b"1"
        for refused in (bucket.delete("key"), bucket.increment("n", 1)):
            with pytest.raises(OpError) as caught:
                await refused
            assert "does not permit it" in caught.value.payload.payload
        assert await running.instance.check(bucket.linked.link.key) >= 0

    @pytest.mark.parametrize(
        ("config", "named"),
        [
            ({}, "url"),
            ({"url": "http://127.0.0.1"}, "url"),
            ({"url": "redis://"}, "url"),
            ({"url": "redis://h:99999"}, "url"),
            ({"url": "redis://h/one"}, "url"),
            ({"url": "redis://h/0?ssl=no"}, "url"),
            ({"url": "redis://h", "bucket": "a:b"}, "bucket"),
            ({"url": "redis://h", "connections_max": "0"}, "connections_max"),
            ({"url": "redis://h", "timeout_ms": "soon"}, "timeout_ms"),
            ({"url": "redis://h", "buckets": "a,b", "prefix": "p"}, "prefix"),
            ({"url": "rediss://h", "tls_cert": "/c.pem"}, "tls_key"),
            ({"url": "rediss://127.0.0.1:1", "tls_ca": "/nowhere.pem"}, "tls_ca"),
        ],
    )
    async def test_a_wrong_value_fails_the_link_naming_the_field(
        self, running: ProviderTest, config: dict[str, str], named: str
    ) -> None:
        held = await running.settled(await running.put(config=config))
        assert held.state == "failed"
        assert named in (held.error or "")


class TestKeyValueRedisBackend(BackendContract):
    @fixture
    async def backend(self, server: RedisServer) -> AsyncIterator[RedisServer]:
        self.server = server
        await server.thaw()
        await server.start()
        yield server

    def make_provider(self) -> Provider:
        return KeyValueRedis()

    def link_config(self) -> dict[str, str]:
        return config_of(self.server)

    def wrong_credentials(self) -> dict[str, str]:
        return {**self.link_config(), "password": self.wrong_secret}

    def small_pool(self) -> dict[str, str]:
        return {"connections_max": "1"}

    async def opened(self, linked: Linked) -> Opened:
        return Opened(linked, await linked.call(STORE, "open", ""))

    async def exercise(self, linked: Linked) -> None:
        await (await self.opened(linked)).get("key")

    async def write(self, linked: Linked, number: int) -> None:
        await (await self.opened(linked)).set(f"number-{number}", b"1")

    async def written(self, linked: Linked) -> set[int]:
        keys = await (await self.opened(linked)).all_keys()
        return {int(key.removeprefix("number-")) for key in keys}

    async def test_a_backend_that_leaves_a_command_without_an_answer_has_its_connection_given_up(
        self, running: ProviderTest, backend: RedisServer
    ) -> None:
        linked = await running.link(config={**self.link_config(), "timeout_ms": "200"})
        await backend.freeze()
        with pytest.raises(OpError) as caught:
            await self.exercise(linked)
        assert "no answer within 0.2 s" in caught.value.payload.payload
        await backend.thaw()
        await self.exercise(linked)

    async def test_a_connection_that_redis_closed_is_replaced_without_an_error(
        self, running: ProviderTest, linked: Linked, backend: RedisServer
    ) -> None:
        await self.exercise(linked)
        with backend.client() as client:
            for each in client.client_list():
                if each["name"].startswith("lath-kv:"):
                    client.client_kill_filter(_id=each["id"])
        await eventually(lambda: self.works(linked))
        assert running.instance.held(LinkSelector())[0].state == "active"

    async def test_credentials_in_the_url_are_told_to_nobody(
        self, running: ProviderTest, backend: RedisServer
    ) -> None:
        url = f"redis://default:{self.wrong_secret}@127.0.0.1:{backend.port}"
        held = await running.settled(await running.put(config={"url": url}))
        assert held.state == "failed"
        assert f"redis://127.0.0.1:{backend.port}/0" in (held.error or "")
        assert self.wrong_secret not in (held.error or "")
        right = f"redis://:{PASSWORD}@127.0.0.1:{backend.port}"
        await self.exercise(await running.link(name="right", config={"url": right}))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    return folder


@pytest.fixture(scope="module")
def url(authority: Path) -> Iterator[str]:
    """Of a server that speaks TLS, and asks its clients for certificates."""
    port = free_port()
    options = [
        "--tls-port", str(port), "--tls-cert-file", str(authority / "cert.pem"),
        "--tls-key-file", str(authority / "key.pem"), "--tls-ca-cert-file", str(authority / "ca.pem"),
    ]  # fmt: skip
    with redis_server(*options):
        yield f"rediss://127.0.0.1:{port}"


class TestKeyValueRedisOverTls:
    async def test_with_the_authority_and_a_certificate_of_ones_own_it_works(
        self, authority: Path, url: str, running: ProviderTest
    ) -> None:
        config = {
            "url": url, "password": PASSWORD, "tls_ca": str(authority / "ca.pem"),
            "tls_cert": str(authority / "cert.pem"), "tls_key": str(authority / "key.pem"),
        }  # fmt: skip
        linked = await running.link(config=config)
        bucket = Opened(linked, await linked.call(STORE, "open", ""))
        await bucket.set("key", b"1")
        assert await bucket.get("key") == b"1"

    async def test_a_server_whose_authority_is_unknown_is_not_trusted(
        self, url: str, running: ProviderTest
    ) -> None:
        held = await running.settled(await running.put(config={"url": url, "password": PASSWORD}))
        assert held.state == "failed"
        assert "CERTIFICATE_VERIFY_FAILED" in (held.error or "")

    @fixture
    async def running(self, bus: Bus) -> AsyncIterator[ProviderTest]:
        async with ProviderTest(bus, KeyValueRedis()) as test:
            yield test


def test_the_config_hides_its_secrets() -> None:
    config = KeyValueRedisConfig.model_validate({"url": "redis://u:hunter2@h", "password": "hunter3"})
    assert "hunter" not in repr(config)
    assert "hunter" not in config.address
    assert config.credentials == ("u", "hunter3")
