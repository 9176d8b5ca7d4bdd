"""What every provider of wasi:keyvalue must do: a suite of tests to subclass.

    class TestRedis(KeyValueContract):
        def make_provider(self) -> Provider:
            return Redis()

        def link_config(self) -> dict[str, str]:
            return {"url": self.redis_url}

Each test runs the provider on a real bus and calls it by links and through the codec, as a host does.
pytest-asyncio has to be in its automatic mode.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
from pytest_asyncio import fixture

from lath.codec import Resource, Variant
from lath.errors import InvalidArgument, LinkNotFound, NotFound
from lath.model import LinkSelector
from lath.provider import OpError
from lath.testing.contract import ProviderContract
from lath.testing.provider import Linked, ProviderTest

STORE: Final = "wasi:keyvalue/store"
ATOMICS: Final = "wasi:keyvalue/atomics"
BATCH: Final = "wasi:keyvalue/batch"
HOSTILE_KEYS: Final = (
    "", " ", ".", "..", ".a.", "a.b", "a..b", "*", ">", "a b", "a\tb", "a\nb", "\x00", "=", "==", "=41", "A",
    "a", "$KV", "ключ", "🔑", "é", "e\u0301", "/", "a/b", "//", "\\", "%2E", "k" * 900,
)  # fmt: skip
"""Strings that a backend may take for something else than a key."""


class Opened:
    """A bucket in a component's hands: `await bucket.get("key")`."""

    def __init__(self, linked: Linked, handle: Resource) -> None:
        self.linked = linked
        self.handle = handle

    async def get(self, key: str) -> bytes | None:
        value: bytes | None = await self._method("get", key)
        return value

    async def set(self, key: str, value: bytes) -> None:
        await self._method("set", key, value)

    async def delete(self, key: str) -> None:
        await self._method("delete", key)

    async def exists(self, key: str) -> bool:
        found: bool = await self._method("exists", key)
        return found

    async def all_keys(self) -> list[str]:
        """Every key, page by page."""
        keys: list[str] = []
        cursor = None
        while True:
            page = await self._method("list-keys", cursor)
            keys.extend(page.keys)
            cursor = page.cursor
            if cursor is None:
                return keys

    async def increment(self, key: str, delta: int) -> int:
        total: int = await self.linked.call(ATOMICS, "increment", self.handle, key, delta)
        return total

    async def batch(self, function: str, items: Any) -> Any:
        return await self.linked.call(BATCH, function, self.handle, items)

    async def _method(self, name: str, *args: Any) -> Any:
        return await self.linked.call(STORE, f"[method]bucket.{name}", self.handle, *args)


class KeyValueContract(ProviderContract):
    """The suite. A subclass says what is tested, and may add tests of its own with the same fixtures."""

    value_bytes_large = 400_000
    """A large value that the backend must take whole."""

    @fixture
    async def bucket(self, linked: Linked) -> Opened:
        """The link's bucket, opened."""
        return await self.open(linked)

    async def open(self, linked: Linked, identifier: str = "") -> Opened:
        return Opened(linked, await linked.call(STORE, "open", identifier))

    # --- store ---------------------------------------------------------------------------------------

    async def test_a_key_that_was_never_written_is_absent(self, bucket: Opened) -> None:
        assert await bucket.get("nothing") is None
        assert not await bucket.exists("nothing")

    async def test_what_was_set_is_what_is_got(self, bucket: Opened) -> None:
        await bucket.set("key", b"value")
        assert await bucket.get("key") == b"value"
        assert await bucket.exists("key")
        await bucket.set("key", b"other")
        assert await bucket.get("key") == b"other"

    async def test_values_are_bytes_of_any_kind_and_size(self, bucket: Opened) -> None:
        values = (b"", b"\x00", bytes(range(256)), b"\xff" * self.value_bytes_large)
        for value in values:
            await bucket.set("binary", value)
            assert await bucket.get("binary") == value
        await bucket.set("empty", b"")
        assert await bucket.exists("empty")

    async def test_any_string_is_a_key_of_its_own(self, bucket: Opened) -> None:
        for number, key in enumerate(HOSTILE_KEYS):
            await bucket.set(key, str(number).encode())
        for number, key in enumerate(HOSTILE_KEYS):
            assert await bucket.get(key) == str(number).encode(), repr(key)
        assert sorted(await bucket.all_keys()) == sorted(HOSTILE_KEYS)
        for key in HOSTILE_KEYS:
            await bucket.delete(key)
        assert await bucket.all_keys() == []

    async def test_a_key_of_64_kib_is_stored_or_refused_in_words(self, bucket: Opened) -> None:
        key = "k" * 64 * 1024
        refusal = None
        try:
            await bucket.set(key, b"1")
        except OpError as e:
            refusal = e.payload
        if refusal is None:
            assert await bucket.get(key) == b"1"
        else:
            assert refusal.case == "other"
            assert 0 < len(refusal.payload) < 1_000

    async def test_a_deleted_key_is_absent_and_deleting_it_again_is_no_error(self, bucket: Opened) -> None:
        await bucket.set("key", b"1")
        await bucket.delete("key")
        assert await bucket.get("key") is None
        assert not await bucket.exists("key")
        await bucket.delete("key")
        await bucket.delete("never there")
        assert await bucket.all_keys() == []
        await bucket.set("key", b"2")
        assert await bucket.get("key") == b"2"

    async def test_listing_pages_through_every_key_once(self, bucket: Opened) -> None:
        keys = [f"key-{number}" for number in range(1_234)]
        await bucket.batch("set-many", [(key, b"") for key in keys])
        assert sorted(await bucket.all_keys()) == sorted(keys)

    async def test_a_bucket_that_is_not_allowed_is_no_such_store(self, linked: Linked) -> None:
        with pytest.raises(OpError) as caught:
            await linked.call(STORE, "open", "somebody-elses")
        assert caught.value.payload == Variant("no-such-store")

    async def test_the_default_bucket_has_two_names(self, linked: Linked) -> None:
        one, other = await self.open(linked, ""), await self.open(linked, "default")
        await one.set("key", b"1")
        assert await other.get("key") == b"1"

    async def test_a_handle_outlives_the_links_being_purged_and_opened_again(
        self, running: ProviderTest, bucket: Opened
    ) -> None:
        await bucket.set("key", b"1")
        await running.instance.purge(LinkSelector(), hold=False)
        assert await bucket.get("key") == b"1"

    # --- atomics -------------------------------------------------------------------------------------

    async def test_increments_count_from_zero_and_return_the_sum(self, bucket: Opened) -> None:
        assert await bucket.increment("n", 5) == 5
        assert await bucket.increment("n", 0) == 5
        assert await bucket.increment("n", 37) == 42
        await bucket.delete("n")
        assert await bucket.increment("n", 1) == 1

    async def test_concurrent_increments_lose_none(self, bucket: Opened) -> None:
        sums = await asyncio.gather(*(bucket.increment("n", 1) for _ in range(40)))
        assert sorted(sums) == list(range(1, 41))

    async def test_what_is_no_number_is_not_incremented(self, bucket: Opened) -> None:
        await bucket.set("text", b"forty-two")
        with pytest.raises(OpError) as caught:
            await bucket.increment("text", 1)
        assert caught.value.payload.case == "other"
        assert await bucket.get("text") == b"forty-two"

    async def test_a_sum_past_64_bits_is_refused_and_changes_nothing(self, bucket: Opened) -> None:
        assert await bucket.increment("n", 2**64 - 1) == 2**64 - 1
        with pytest.raises(OpError) as caught:
            await bucket.increment("n", 1)
        assert caught.value.payload.case == "other"
        assert await bucket.increment("n", 0) == 2**64 - 1

    # --- batch ---------------------------------------------------------------------------------------

    async def test_batches_set_get_and_delete_many(self, bucket: Opened) -> None:
        pairs = [(f"key.{number}", bytes([number])) for number in range(100)]
        await bucket.batch("set-many", pairs)
        keys = [key for key, _ in pairs]
        assert await bucket.batch("get-many", [*keys, "absent"]) == [*pairs, None]
        await bucket.batch("delete-many", [*keys[:50], "absent"])
        assert await bucket.batch("get-many", keys) == [*[None] * 50, *pairs[50:]]

    async def test_empty_batches_do_nothing(self, bucket: Opened) -> None:
        assert await bucket.batch("get-many", []) == []
        await bucket.batch("set-many", [])
        await bucket.batch("delete-many", [])

    # --- links ---------------------------------------------------------------------------------------

    async def test_an_active_link_passes_its_check(self, running: ProviderTest, linked: Linked) -> None:
        assert await running.instance.check(linked.link.key) >= 0

    async def test_two_named_links_of_one_source_keep_apart(self, running: ProviderTest) -> None:
        config = self.link_config()
        one = await self.open(await running.link(name="one", config=config or None))
        other = await self.open(await running.link(name="other", config=self.link_config() or None))
        await one.set("key", b"one")
        assert await other.get("key") is None
        await other.set("key", b"other")
        assert await one.get("key") == b"one"

    async def test_unknown_config_fails_the_link_naming_it(self, running: ProviderTest) -> None:
        link = await running.put(config={**self.link_config(), "colour": "blue"})
        held = await running.settled(link)
        assert held.state == "failed"
        assert "colour" in (held.error or "")
        await running.configure(link, self.link_config())
        corrected = await running.current(link)
        assert (await running.settled(corrected)).state == "active"

    async def test_a_forged_handle_and_wrong_types_are_refused(self, linked: Linked) -> None:
        for forged in (b"", b"\xc1", b"\x93\x01\x02\x03", b"\xff" * 100):
            with pytest.raises(InvalidArgument):
                await linked.call(STORE, "[method]bucket.get", Resource(forged), "key")

    async def test_what_no_link_allows_is_refused(self, running: ProviderTest) -> None:
        only_store = await running.link(name="narrow", config=self.link_config(), interfaces=("store",))
        bucket = await self.open(only_store)
        with pytest.raises(LinkNotFound):
            await bucket.increment("n", 1)

    async def test_a_version_that_is_not_served_is_named(self, linked: Linked) -> None:
        with pytest.raises(NotFound, match=r"9\.9\.9"):
            await linked.call_version("9.9.9", STORE, "open", "")
