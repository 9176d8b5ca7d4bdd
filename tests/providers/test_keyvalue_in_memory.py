"""The keyvalue provider that keeps a cache in memory: the contract, its limits, and its age."""

from __future__ import annotations

import random

import pytest

from lath.errors import Overloaded, PayloadTooLarge
from lath.provider import OpError, Provider
from lath.testing.keyvalue_contract import KeyValueContract
from lath.testing.provider import ProviderTest
from lath_providers.keyvalue_memory import KeyValueMemory, KeyValueMemoryConfig
from lath_providers.keyvalue_memory.store import MemoryStore


class TestKeyValueMemory(KeyValueContract):
    def make_provider(self) -> Provider:
        return KeyValueMemory()

    async def test_links_have_buckets_of_their_own_and_share_those_that_they_name(
        self, running: ProviderTest
    ) -> None:
        one = await self.open(await running.link(source="one"))
        other = await self.open(await running.link(source="other"))
        await one.set("key", b"1")
        assert await other.get("key") is None
        shared = {"bucket": "shared"}
        one = await self.open(await running.link(source="one", name="s", config=shared))
        other = await self.open(
            await running.link(source="other", name="s", config={"buckets": "shared"}), "shared"
        )
        await one.set("key", b"1")
        assert await other.get("key") == b"1"

    async def test_limits_that_change_hold_for_what_is_there(self, running: ProviderTest) -> None:
        linked = await running.link(config={"entries_max": "10"})
        bucket = await self.open(linked)
        await bucket.batch("set-many", [(str(number), b"") for number in range(10)])
        await running.configure(linked.link, {"entries_max": "3", "full": "refuse"})
        changed = await running.current(linked.link)
        await running.settled(changed)
        bucket = await self.open(running.by(changed))
        with pytest.raises(OpError) as caught:
            await bucket.set("one more", b"")
        assert "holds 10 entries of 3" in caught.value.payload.payload

    @pytest.mark.parametrize(
        "config",
        [{"bytes_max": "0"}, {"entries_max": "none"}, {"full": "panic"}, {"ttl_ms": "-1"}, {"bucket": "a.b"}],
    )
    async def test_a_wrong_value_fails_the_link_naming_the_field(
        self, running: ProviderTest, config: dict[str, str]
    ) -> None:
        held = await running.settled(await running.put(config=config))
        assert held.state == "failed"
        assert next(iter(config)) in (held.error or "")


class Clock:
    """Time that a test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def store(clock: Clock | None = None, **limits: str) -> MemoryStore:
    return MemoryStore("cache", KeyValueMemoryConfig.model_validate(limits), clock or Clock())


async def keys_of(bucket: MemoryStore) -> list[str]:
    return (await bucket.page(None))[0]


async def test_a_full_bucket_evicts_what_was_not_used_for_longest() -> None:
    bucket = store(entries_max="3")
    for key in "abc":
        await bucket.set(key, b"")
    await bucket.get("a")
    await bucket.set("d", b"")
    assert await keys_of(bucket) == ["a", "c", "d"]


async def test_bytes_of_keys_and_values_are_limited() -> None:
    bucket = store(bytes_max="10")
    await bucket.set("a", b"1234")
    await bucket.set("b", b"1234")
    await bucket.set("b", b"123456")
    assert await keys_of(bucket) == ["b"]
    await bucket.set("b", b"123456789")
    assert await bucket.get("b") == b"123456789"
    with pytest.raises(PayloadTooLarge, match="11 bytes are above the 10"):
        await bucket.set("b", b"1234567890")
    assert await bucket.get("b") == b"123456789"


async def test_a_full_bucket_that_may_not_evict_refuses_and_changes_nothing() -> None:
    bucket = store(entries_max="2", bytes_max="100", full="refuse")
    await bucket.set("a", b"1")
    await bucket.set("b", b"1")
    with pytest.raises(Overloaded, match="bucket cache is full: it holds 2 entries of 2, 4 bytes of 100"):
        await bucket.set("c", b"1")
    await bucket.set("a", b"2")
    await bucket.delete("b")
    await bucket.set("c", b"3")
    assert await bucket.get_many(["a", "b", "c"]) == [b"2", None, b"3"]


async def test_what_is_too_old_is_gone_and_leaves_room() -> None:
    clock = Clock()
    bucket = store(clock, ttl_ms="1000", entries_max="2", full="refuse")
    await bucket.set("a", b"1")
    clock.now = 0.5
    await bucket.set("b", b"1")
    await bucket.set("a", b"2")  # written anew, it lives anew
    clock.now = 1.2
    assert await bucket.get("a") == b"2"
    clock.now = 1.5
    assert await bucket.get("a") is None
    assert not await bucket.exists("b")
    assert await bucket.increment("c", 1) == 1
    await bucket.set("d", b"1")
    assert await keys_of(bucket) == ["c", "d"]


async def test_keys_that_stay_are_listed_once_whatever_is_written_meanwhile() -> None:
    bucket = store()
    stay = [f"stay-{number}" for number in range(2_500)]
    for key in stay:
        await bucket.set(key, b"")
    listed: list[str] = []
    cursor = None
    while True:
        page, cursor = await bucket.page(cursor)
        listed += page
        if cursor is None:
            break
        await bucket.set(page[0], b"again")
        await bucket.set(f"new-{cursor}", b"")
        await bucket.delete(f"new-{cursor}")
    assert [key for key in listed if key.startswith("stay")] == stay


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_is_done_the_account_fits_what_is_held(seed: int) -> None:
    chance = random.Random(seed)
    clock = Clock()
    bucket = store(clock, bytes_max="60", entries_max="5", ttl_ms="10")
    for _ in range(500):
        key = chance.choice("abcdefgh")
        match chance.randrange(4):
            case 0:
                await bucket.delete(key)
            case 1:
                await bucket.get(key)
            case 2:
                clock.now += chance.random() / 200
            case _:
                await bucket.set(key, bytes(chance.randrange(30)))
        keys = list(bucket._entries)
        assert sorted(bucket._used) == sorted(bucket._written) == sorted(keys)
        assert bucket._bytes == sum(1 + len(bucket._entries[each].value) for each in keys) <= 60
        assert len(keys) <= 5
