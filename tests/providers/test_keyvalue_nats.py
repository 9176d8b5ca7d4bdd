"""The keyvalue provider on NATS KV: the contract of keyvalue providers, and what is its own."""

from __future__ import annotations

import asyncio
import functools
import secrets
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lath.bus import Bus
from lath.errors import ConnectionLost, InvalidArgument, LathError, LinkFailed
from lath.links import LinkStore
from lath.model import LinkSelector, LinkSpec
from lath.presence import PresenceView
from lath.provider import OpError, Provider
from lath.provider.outgoing import OutgoingCalls
from lath.server import Server
from lath.testing import eventually
from lath.testing.keyvalue_contract import STORE, KeyValueContract, Opened
from lath.testing.provider import Linked, ProviderTest
from lath.verbs import LinkOps
from lath_providers.keyvalue_nats import KeyValueNats, KeyValueNatsConfig, keys


class TestKeyValueNats(KeyValueContract):
    def make_provider(self) -> Provider:
        return KeyValueNats()

    def link_config(self) -> dict[str, str]:
        return {"bucket": f"test-{secrets.token_hex(8)}", "storage": "memory"}

    async def test_a_link_without_config_gets_a_bucket_of_its_own(self, running: ProviderTest) -> None:
        one = await self.open(await running.link(source="one"))
        other = await self.open(await running.link(source="other"))
        await one.set("key", b"1")
        assert await other.get("key") is None

    async def test_two_links_that_name_one_bucket_share_it(self, running: ProviderTest) -> None:
        config = self.link_config()
        one = await self.open(await running.link(source="one", config=config))
        other = await self.open(await running.link(source="other", config=config))
        await one.set("key", b"1")
        assert await other.get("key") == b"1"
        assert await one.increment("n", 1) == 1
        assert await other.increment("n", 1) == 2

    async def test_further_buckets_are_opened_where_the_link_allows_them(self, running: ProviderTest) -> None:
        config = {**self.link_config(), "buckets": "shared-1, shared-2"}
        linked = await running.link(config=config)
        own, shared = await self.open(linked), await self.open(linked, "shared-2")
        await shared.set("key", b"shared")
        assert await own.get("key") is None
        assert await shared.get("key") == b"shared"

    async def test_a_value_above_what_the_server_takes_is_refused_in_words(
        self, bus: Bus, bucket: Opened
    ) -> None:
        await bucket.set("key", b"small")
        with pytest.raises(OpError) as caught:
            await bucket.set("key", bytes(bus.max_payload_bytes))
        assert caught.value.payload.case == "other"
        assert "above the" in caught.value.payload.payload
        assert await bucket.get("key") == b"small"

    async def test_each_link_has_one_connection_named_after_it_and_purge_with_hold_closes_it(
        self, running: ProviderTest, nats_server: Server
    ) -> None:
        async def connected(*names: str) -> bool:
            found = [each.get("name", "") for each in (await nats_server.connz())["connections"]]
            assert sorted(name for name in found if name.startswith("lath-kv ")) == list(names)
            return True

        await running.link(source="app", name="one")
        await running.link(source="app", name="two")
        assert await connected("lath-kv app one", "lath-kv app two")
        await running.instance.purge(LinkSelector(name="one"), hold=True)
        await eventually(functools.partial(connected, "lath-kv app two"))
        await running.instance.pull(LinkSelector())
        await eventually(functools.partial(connected, "lath-kv app one", "lath-kv app two"))

    async def test_a_backend_that_goes_down_is_an_error_in_words_and_fails_the_check(
        self, running: ProviderTest
    ) -> None:
        async with Server() as backend:
            linked = await running.link(config={"url": backend.url})
            bucket = await self.open(linked)
            await bucket.set("key", b"1")
            await backend.stop()
            with pytest.raises((ConnectionLost, LinkFailed)):
                await bucket.get("key")
            with pytest.raises(LinkFailed, match=str(backend.port)):
                await running.instance.check(linked.link.key)
            await backend.restart()
            await eventually(functools.partial(_got, bucket, "key", b"1"), 20)

    async def test_a_backend_that_is_not_there_fails_the_link_with_its_url(
        self, running: ProviderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lath_providers.nats_servers.CONNECT_MS", 200)
        link = await running.put(config={"url": "nats://127.0.0.1:1"})
        held = await running.settled(link)
        assert held.state == "failed"
        assert "127.0.0.1:1" in (held.error or "")

    @pytest.mark.parametrize(
        ("config", "named"),
        [
            ({"replicas": "many"}, "replicas"),
            ({"replicas": "7"}, "replicas"),
            ({"bucket": "a.b"}, "bucket"),
            ({"buckets": "ok,not ok"}, "buckets"),
            ({"create": "perhaps"}, "create"),
            ({"create": "false", "bucket": "nowhere"}, "create"),
            ({"storage": "tape"}, "storage"),
        ],
    )
    async def test_a_wrong_value_fails_the_link_naming_the_field(
        self, running: ProviderTest, config: dict[str, str], named: str
    ) -> None:
        held = await running.settled(await running.put(config=config))
        assert held.state == "failed"
        assert named in (held.error or "")

    async def test_keys_that_somebody_else_wrote_are_left_out_of_listings(
        self, running: ProviderTest, bus: Bus
    ) -> None:
        config = self.link_config()
        bucket = await self.open(await running.link(config=config))
        await bucket.set("mine", b"1")
        kv = await bus.nc.jetstream().key_value(config["bucket"])
        await kv.put("theirs.=zz", b"1")
        assert await bucket.all_keys() == ["mine"]

    async def test_a_second_instance_serves_the_handles_of_the_first(
        self, bus: Bus, nats_server: Server, running: ProviderTest
    ) -> None:
        linked = await running.link(config=self.link_config())
        bucket = await self.open(linked)
        await bucket.set("key", b"1")
        async with ProviderTest(bus, self.make_provider(), nats_url=nats_server.url):
            await running.instance.close()
            assert await bucket.get("key") == b"1"


async def _got(bucket: Opened, key: str, expected: bytes) -> bool:
    try:
        return await bucket.get(key) == expected
    except (OpError, LathError):
        return False


@given(st.text(max_size=200))
def test_every_string_is_encoded_reversibly_into_a_valid_key(key: str) -> None:
    encoded = keys.encode(key)
    assert keys.decode(encoded) == key
    assert encoded
    assert set(encoded) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_/=")


def test_readable_keys_stay_readable() -> None:
    assert keys.encode("users/42-x_y") == "users/42-x_y"
    assert keys.encode("a.b c") == "a=2Eb=20c"


@pytest.mark.parametrize("key", ["k" * 3_001, "é" * 501, "\ud800"])
def test_keys_that_cannot_be_stored_are_refused_without_repeating_them(key: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        keys.encode(key)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("encoded", ["a.b", "=zz", "=61", "", "=FF"])
def test_what_the_provider_did_not_write_is_no_key(encoded: str) -> None:
    with pytest.raises(InvalidArgument):
        keys.decode(encoded)


def test_the_config_hides_its_secrets() -> None:
    config = KeyValueNatsConfig.model_validate({"user": "u", "password": "hunter2", "token": ""})
    assert "hunter2" not in repr(config)


async def test_as_a_process_of_its_own_it_uses_the_lattices_bus(bus: Bus, nats_server: Server) -> None:
    flags = ["--nats-url", nats_server.url, "--lattice", bus.lattice, "--id", "kv"]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lath_providers.keyvalue_nats", *flags, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        spec = LinkSpec(
            source_id="app", target="kv", wit_namespace="wasi", wit_package="keyvalue", interfaces=("store",)
        )
        async with PresenceView(bus) as presence:
            await eventually(lambda: presence.instances("kv"), 30)
            links = LinkOps(bus, presence, LinkStore(bus))
            assert (await links.put_and_wait(spec, 10_000)).verdict == "live"
            await links.close()
        link = (await LinkStore(bus).list()).links[spec.key]
        calls = OutgoingCalls(bus, "app")
        linked = Linked(calls, link)
        opened = Opened(linked, await linked.call(STORE, "open", ""))
        await opened.set("key", b"1")
        assert await opened.get("key") == b"1"
        await calls.close()
        child.terminate()
        async with asyncio.timeout(20):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
