"""What every provider of wasi:blobstore must do: a suite of tests to subclass.

    class TestShelves(BlobstoreContract):
        def make_provider(self) -> Provider:
            return Shelves()

        def link_config(self) -> dict[str, str]:
            return {"url": self.url}

        def shared_config(self, container: str) -> dict[str, str]:
            return {"url": self.url, "containers": container}

Each test runs the provider on a real bus and calls it by links and through the codec, as a host does; values
come and go as streams. pytest-asyncio has to be in its automatic mode.
"""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar, Final

import pytest
from pytest_asyncio import fixture

from lath.codec import Resource
from lath.errors import InvalidArgument, LathError
from lath.model import LinkSelector
from lath.provider import OpError
from lath.testing.blobstore import (
    BLOBSTORE,
    CHUNK_BYTES,
    CONTAINER,
    END,
    MIB,
    BreakOffError,
    OpenContainer,
    breaking_off,
    create,
    exists,
    for_each,
    hanging,
    in_small_chunks,
    object_id,
    pattern,
    refusal,
    stream_of,
)
from lath.testing.contract import ProviderContract
from lath.testing.provider import Linked, ProviderTest
from lath.testing.resident import resident_bytes_added

HOSTILE_NAMES: Final = (
    "", " ", ".", "..", ".a.", "a.b", "a..b", "*", ">", "a b", "a\tb", "a\nb", "\x00", "=", "==", "=41", "A",
    "a", "$O", "ключ", "🔑", "é", "e\u0301", "\\", "%2E", "%", "#?&", "'\"`", "~", "=created", "k" * 200,
)  # fmt: skip
"""Names that a backend may take for something else."""
NESTED_NAMES: Final = (
    "/", "//", "n/m", "n//m", "/etc/passwd", "../escape", "n/../../escape", "n/./m", "trailing/",
    "deep/" * 40 + "x",
)  # fmt: skip
"""Likewise, with slashes."""
CONTAINER_NAMES: Final = (
    "..", ".", "a/b", "a", "A", "*", ">", "a b", "\x00", "=", "_", "_5F", "ü", "=links", "x" * 63,
)  # fmt: skip
PREFIX_NAMES: Final = ("p", "p/q", "p/q/r", "p=2Fq")
"""Names that begin with one another."""


class BlobstoreContract(ProviderContract):
    """The suite. A subclass says what is tested, and may add tests of its own with the same fixtures.

    Attributes:
        names_nest: Whether `a` and `a/b` may both be there; else the second one is refused, in words.
        objects_many: How many objects are listed, page by page.
        large_bytes: Of an object that is streamed through.
        memory_bytes_max: How much memory that may take, all parts of the provider and of the test together.
    """

    names_nest: ClassVar[bool] = True
    objects_many: ClassVar[int] = 1_234
    large_bytes: ClassVar[int] = 64 * MIB
    memory_bytes_max: ClassVar[int] = 32 * MIB

    def shared_config(self, container: str) -> dict[str, str]:
        """The config of links that share a container of that name."""
        return {**self.link_config(), "containers": container}

    @fixture
    async def container(self, linked: Linked) -> OpenContainer:
        """A container of the link's own."""
        return await create(linked, "things")

    # --- containers ----------------------------------------------------------------------------------

    async def test_a_container_is_there_from_its_creation_until_it_is_deleted(self, linked: Linked) -> None:
        assert not await exists(linked, "things")
        before = int(time.time())
        created = await create(linked, "things")
        assert await exists(linked, "things")
        info = await created.info()
        assert info.name == "things"
        assert before - 1 <= info.created_at <= int(time.time()) + 1
        again = OpenContainer(linked, await linked.call(BLOBSTORE, "get-container", "things"))
        await again.write("object", b"value")
        assert await created.read("object") == b"value"
        await linked.call(BLOBSTORE, "delete-container", "things")
        assert not await exists(linked, "things")

    async def test_a_deleted_container_takes_its_objects_with_it(self, linked: Linked) -> None:
        container = await create(linked, "things")
        await container.write("object", b"value")
        await linked.call(BLOBSTORE, "delete-container", "things")
        container = await create(linked, "things")
        assert await container.names() == []
        assert not await container.has("object")

    async def test_a_container_that_is_there_is_not_created_again(self, linked: Linked) -> None:
        container = await create(linked, "things")
        await container.write("object", b"value")
        assert "'things'" in await refusal(create(linked, "things"))
        assert await container.read("object") == b"value"

    async def test_what_is_asked_of_a_missing_container_is_refused_naming_it(self, linked: Linked) -> None:
        await (await create(linked, "things")).write("object", b"1")
        container = await create(linked, "gone")
        await linked.call(BLOBSTORE, "delete-container", "gone")
        here, there = object_id("things", "object"), object_id("gone", "object")
        for asked in (
            linked.call(BLOBSTORE, "get-container", "gone"),
            linked.call(BLOBSTORE, "delete-container", "gone"),
            linked.call(BLOBSTORE, "copy-object", here, there),
            linked.call(BLOBSTORE, "move-object", here, there),
            container.info(), container.write("object", b"1"), container.read("object"), container.names(),
            container.has("object"), container.object_info("object"), container.delete("object"),
            container.delete_many(["object"]), container.clear(),
        ):  # fmt: skip
            assert "'gone'" in await refusal(asked)
        assert not await exists(linked, "gone")

    async def test_any_short_string_names_a_container(self, linked: Linked) -> None:
        for name in CONTAINER_NAMES:
            await (await create(linked, name)).write("object", name.encode())
        for name in CONTAINER_NAMES:
            container = OpenContainer(linked, await linked.call(BLOBSTORE, "get-container", name))
            assert await container.read("object") == name.encode()
            assert (await container.info()).name == name
        for name in CONTAINER_NAMES:
            await linked.call(BLOBSTORE, "delete-container", name)
            assert not await exists(linked, name)

    async def test_a_container_without_a_name_or_with_a_long_one_is_refused(self, linked: Linked) -> None:
        for name in ("", "x" * 64, "ü" * 32, "x" * 100_000):
            for function in ("create-container", "get-container", "container-exists", "delete-container"):
                assert len(await refusal(linked.call(BLOBSTORE, function, name))) < 1_000

    # --- objects -------------------------------------------------------------------------------------

    async def test_what_was_written_is_what_is_read(self, container: OpenContainer) -> None:
        for value in (b"", b"\x00", bytes(range(256)), b"\xff" * 400_000):
            await container.write("object", value)
            assert await container.read("object") == value
            assert (await container.object_info("object")).size == len(value)
        assert await container.names() == ["object"]

    async def test_an_object_says_what_it_is(self, container: OpenContainer) -> None:
        before = int(time.time())
        await container.write("object", b"value")
        info = await container.object_info("object")
        assert (info.name, info.container, info.size) == ("object", "things", 5)
        assert before - 1 <= info.created_at <= int(time.time()) + 1

    async def test_an_object_that_is_not_there_is_told_apart(self, container: OpenContainer) -> None:
        assert not await container.has("nothing")
        for asked in (container.read("nothing"), container.object_info("nothing")):
            assert "'nothing'" in await refusal(asked)
        await container.delete("nothing")
        await container.delete_many(["nothing", "nor this"])
        await container.delete_many([])

    async def test_a_range_has_both_its_ends_and_no_more_than_there_is(
        self, container: OpenContainer
    ) -> None:
        value = bytes(range(256)) * 2_000
        await container.write("object", value)
        for start, end in ((0, 0), (0, 4), (7, 7), (300_000, 300_100), (131_071, 131_072), (511_999, END)):
            assert await container.read("object", start, end) == value[start : end + 1], (start, end)
        for start, end in ((512_000, END), (600_000, 700_000), (END, END)):
            assert await container.read("object", start, end) == b""
        assert await container.read("object", 511_990, 512_010) == value[-10:]
        await container.write("empty", b"")
        assert await container.read("empty", 0, 10) == b""
        assert await refusal(container.read("object", 5, 4))

    async def test_any_string_names_an_object_of_its_own(self, container: OpenContainer) -> None:
        names = (*HOSTILE_NAMES, *NESTED_NAMES) if self.names_nest else HOSTILE_NAMES
        await for_each(names, lambda name: container.write(name, name.encode()))
        for name in names:
            assert await container.read(name) == name.encode(), repr(name)
            assert (await container.object_info(name)).name == name
        assert await container.names() == sorted(names)
        await container.delete_many(list(names))
        assert await container.names() == []

    async def test_a_name_with_slashes_leads_nowhere_else(self, container: OpenContainer) -> None:
        for name in NESTED_NAMES:
            await container.write(name, name.encode())
            assert await container.read(name) == name.encode()
            assert await container.names() == [name]
            await container.delete(name)
            assert not await container.has(name)

    async def test_names_that_begin_with_one_another_are_kept_apart(self, container: OpenContainer) -> None:
        if not self.names_nest:
            await container.write("p/q", b"1")
            assert await refusal(container.write("p", b"2"))
            assert await container.read("p/q") == b"1"
            return
        for name in PREFIX_NAMES:
            await container.write(name, name.encode())
        assert await container.names() == sorted(PREFIX_NAMES)
        await container.delete("p/q")
        for name in ("p", "p/q/r", "p=2Fq"):
            assert await container.read(name) == name.encode()

    async def test_a_name_of_a_kib_is_stored_or_refused_in_words_and_a_longer_one_refused(
        self, container: OpenContainer
    ) -> None:
        name = "n" * 1024
        refused = ""
        try:
            await container.write(name, b"1")
        except OpError as e:
            refused = e.payload
        assert await container.names() == ([] if refused else [name])
        assert len(refused) < 1_000
        assert len(await refusal(container.write("n" * 1025, b"1"))) < 1_000
        assert len(await refusal(container.has("n" * 64 * 1024))) < 1_000

    async def test_listing_pages_through_every_object_once(self, container: OpenContainer) -> None:
        names = [f"object-{number}" for number in range(self.objects_many)]
        await for_each(names, lambda name: container.write(name, b""))
        assert await container.names() == sorted(names)
        await container.delete_many(names[:-2])
        assert await container.names() == sorted(names[-2:])
        await container.clear()
        assert await container.names() == []

    async def test_a_listing_that_is_left_early_ends(self, container: OpenContainer) -> None:
        await for_each([str(number) for number in range(10)], lambda name: container.write(name, b""))
        listing = await container.listing()
        assert await anext(listing) in {str(number) for number in range(10)}
        await listing.aclose()
        assert len(await container.names()) == 10

    async def test_a_cleared_container_is_empty_and_goes_on(self, container: OpenContainer) -> None:
        await for_each([str(number) for number in range(10)], lambda name: container.write(name, b"value"))
        await container.clear()
        assert await container.names() == []
        await container.write("1", b"new")
        assert await container.read("1") == b"new"

    # --- copies --------------------------------------------------------------------------------------

    async def test_a_copy_is_one_and_a_moved_object_is_only_where_it_went(self, linked: Linked) -> None:
        one, other = await create(linked, "one"), await create(linked, "other")
        value = bytes(range(256)) * 2_000
        await one.write("object", value)
        for to in (object_id("one", "copy"), object_id("other", "object"), object_id("other", "..")):
            await linked.call(BLOBSTORE, "copy-object", object_id("one", "object"), to)
        await one.write("object", b"changed")
        assert await one.read("copy") == await other.read("object") == await other.read("..") == value
        await linked.call(BLOBSTORE, "move-object", object_id("other", "object"), object_id("one", "copy"))
        await linked.call(BLOBSTORE, "move-object", object_id("one", "copy"), object_id("one", "moved"))
        assert await one.read("moved") == value
        assert await one.names() == ["moved", "object"]
        assert await other.names() == [".."]

    async def test_an_object_copied_or_moved_onto_itself_stays(self, container: OpenContainer) -> None:
        await container.write("object", b"value")
        same = object_id("things", "object")
        for function in ("copy-object", "move-object"):
            await container.linked.call(BLOBSTORE, function, same, same)
            assert await container.read("object") == b"value"

    async def test_what_is_not_there_is_neither_copied_nor_moved(self, container: OpenContainer) -> None:
        await container.write("target", b"value")
        for function in ("copy-object", "move-object"):
            for to in ("target", "nothing"):
                call = container.linked.call(
                    BLOBSTORE, function, object_id("things", "nothing"), object_id("things", to)
                )
                assert "'nothing'" in await refusal(call)
        assert await container.names() == ["target"]
        assert await container.read("target") == b"value"

    # --- streams -------------------------------------------------------------------------------------

    async def test_a_large_object_streams_through_in_little_memory(self, container: OpenContainer) -> None:
        async with resident_bytes_added() as added:
            await container.write("large", stream_of(self.large_bytes), timeout_ms=100_000)
            stream = await container.stream("large")
            assert stream.size == self.large_bytes
            at = 0
            async for chunk in stream:
                assert chunk == pattern(at, len(chunk))
                at += len(chunk)
        assert at == self.large_bytes
        assert added() < self.memory_bytes_max, f"{added() / MIB:.1f} MiB more"

    async def test_a_write_that_breaks_off_leaves_what_was_there(self, container: OpenContainer) -> None:
        await container.write("object", b"old")
        for size in (0, CHUNK_BYTES, 12 * MIB):
            for name in ("object", "new"):
                with pytest.raises((LathError, OpError, BreakOffError)):
                    await container.write(name, breaking_off(size))
            assert await container.read("object") == b"old"
            assert await container.names() == ["object"]

    async def test_a_write_that_is_given_up_leaves_what_was_there(self, container: OpenContainer) -> None:
        await container.write("object", b"old")
        for size in (CHUNK_BYTES, 12 * MIB):
            stuck = asyncio.Event()
            writing = asyncio.ensure_future(container.write("object", hanging(size, stuck)))
            await stuck.wait()
            writing.cancel()
            await asyncio.wait({writing})
            assert await container.read("object") == b"old"
            assert await container.names() == ["object"]

    async def test_of_concurrent_writers_of_one_name_one_wins_whole(self, container: OpenContainer) -> None:
        values = [bytes([number]) * 300_000 for number in range(8)]
        await asyncio.gather(*(container.write("object", in_small_chunks(value)) for value in values))
        assert await container.read("object") in values
        assert await container.names() == ["object"]

    async def test_a_reader_of_what_is_overwritten_has_the_old_or_an_error(
        self, container: OpenContainer
    ) -> None:
        old, new = b"o" * 3 * MIB, b"n" * 3 * MIB
        await container.write("object", old)
        stream = await container.stream("object")
        first = await anext(aiter(stream))
        await container.write("object", new)
        try:
            data = first + b"".join([chunk async for chunk in stream])
        except (LathError, OpError):
            await stream.aclose()
        else:
            assert data == old
        assert await container.read("object") == new

    async def test_a_reader_that_leaves_early_holds_up_nobody(self, container: OpenContainer) -> None:
        await container.write("object", stream_of(4 * MIB))
        for _ in range(4):
            stream = await container.stream("object")
            await anext(aiter(stream))
            await stream.aclose()
            await (await container.stream("object")).aclose()
        await container.write("object", b"new")
        assert await container.read("object") == b"new"

    # --- links ---------------------------------------------------------------------------------------

    async def test_an_active_link_passes_its_check(self, running: ProviderTest, linked: Linked) -> None:
        assert await running.instance.check(linked.link.key) >= 0

    async def test_containers_are_a_links_own(self, running: ProviderTest) -> None:
        config = self.link_config()
        one = await create(await running.link(name="one", config=config), "things")
        await one.write("object", b"one")
        other = await running.link(name="other", config=config)
        assert not await exists(other, "things")
        assert "'things'" in await refusal(OpenContainer(other, one.handle).read("object"))
        assert "'things'" in await refusal(other.call(BLOBSTORE, "delete-container", "things"))
        assert await one.read("object") == b"one"

    async def test_links_that_list_a_container_share_it(self, running: ProviderTest) -> None:
        config = self.shared_config("common")
        one = await create(await running.link(name="one", config=config), "common")
        other = await running.link(name="other", source="somebody", config=config)
        await one.write("object", b"one")
        assert await OpenContainer(other, one.handle).read("object") == b"one"
        await create(other, "things")
        assert not await exists(one.linked, "things")
        await other.call(BLOBSTORE, "delete-container", "common")

    async def test_a_handle_and_its_objects_outlive_a_purge(
        self, running: ProviderTest, container: OpenContainer
    ) -> None:
        await container.write("object", b"value")
        await running.instance.purge(LinkSelector(), hold=False)
        assert await container.read("object") == b"value"

    async def test_unknown_config_fails_the_link_naming_it(self, running: ProviderTest) -> None:
        link = await running.put(config={**self.link_config(), "colour": "blue"})
        held = await running.settled(link)
        assert held.state == "failed"
        assert "colour" in (held.error or "")
        await running.configure(link, self.link_config())
        assert (await running.settled(await running.current(link))).state == "active"

    async def test_a_forged_handle_is_refused(self, linked: Linked) -> None:
        for forged in (b"", b"\xc1", b"\x93\x01\x02\x03", b"\x91\xa4\xff\xff\xff\xff", b"\xff" * 100):
            with pytest.raises(InvalidArgument):
                await linked.call(CONTAINER, "[method]container.has-object", Resource(forged), "object")
