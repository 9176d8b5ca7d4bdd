"""The blobstore provider on the NATS object store passes the contract, in the layout of NATS's clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.object_store import ObjectStore
from pytest_asyncio import fixture

from lath.bus import Bus, jetstream
from lath.errors import DeadlineExceeded, LathError
from lath.provider import Provider
from lath.server import Server
from lath.testing import eventually
from lath.testing.blobstore import (
    BLOBSTORE,
    MIB,
    OpenContainer,
    breaking_off,
    create,
    pattern,
    refusal,
    stream_of,
)
from lath.testing.blobstore_contract import BlobstoreContract
from lath.testing.provider import Linked, ProviderTest
from lath_providers.blobstore_nats import BlobstoreNats

SHARED = "photos"


class TestBlobstoreNats(BlobstoreContract):
    def make_provider(self) -> Provider:
        return BlobstoreNats()


@fixture
async def running(bus: Bus, nats_server: Server) -> AsyncIterator[ProviderTest]:
    async with ProviderTest(bus, BlobstoreNats(), nats_url=nats_server.url) as test:
        yield test


@fixture
async def linked(running: ProviderTest) -> Linked:
    return await running.link(config={"containers": SHARED, "chunk_bytes": "16384"})


@fixture
async def photos(linked: Linked) -> OpenContainer:
    return await create(linked, SHARED)


async def stored_messages(bus: Bus) -> int:
    info = await bus.nc.jetstream().stream_info(f"OBJ_{SHARED}")
    return int(info.state.messages)


# --- other clients of the store ----------------------------------------------------------------------


async def test_what_a_component_wrote_another_client_reads(photos: OpenContainer, bus: Bus) -> None:
    await photos.write("a/cät.jpg", stream_of(MIB))
    store: ObjectStore = await bus.nc.jetstream().object_store(SHARED)
    found = await store.get("a/cät.jpg")  # it checks the digest
    assert found.data == pattern(0, MIB)
    assert found.info.size == MIB


async def test_what_another_client_wrote_a_component_reads_in_whole_and_in_parts(
    linked: Linked, bus: Bus
) -> None:
    store: ObjectStore = await bus.nc.jetstream().create_object_store(SHARED)
    value = pattern(0, MIB)
    await store.put("theirs", value)
    await store.put("empty", b"")
    await store.put("deleted", b"gone")
    await store.delete("deleted")
    photos = OpenContainer(linked, await linked.call(BLOBSTORE, "get-container", SHARED))
    assert await photos.read("theirs") == value
    assert await photos.read("theirs", 700_000, 700_100) == value[700_000:700_101]
    assert await photos.read("empty") == b""
    assert await photos.names() == ["empty", "theirs"]
    assert not await photos.has("deleted")
    await photos.write("theirs", b"ours")
    assert await photos.read("theirs") == b"ours"


async def test_a_link_to_another_object_is_told_and_not_followed(photos: OpenContainer, bus: Bus) -> None:
    await photos.write("object", b"value")
    subject = f"$O.{SHARED}.M.bGluaw=="
    meta = (
        b'{"name":"link","bucket":"photos","nuid":"","options":{"link":{"bucket":"photos","name":"object"}}}'
    )
    await bus.nc.jetstream().publish(subject, meta)
    assert "link" in await refusal(photos.read("link"))


# --- what is kept ------------------------------------------------------------------------------------


async def test_only_the_bytes_of_what_is_there_are_kept(photos: OpenContainer, bus: Bus) -> None:
    for _ in range(3):
        await photos.write("object", b"x" * 40_000)
    assert await stored_messages(bus) == 3 + 1
    with pytest.raises(LathError):
        await photos.write("object", breaking_off(MIB))

    async def only_the_object() -> bool:
        return await stored_messages(bus) == 3 + 1

    await eventually(only_the_object)
    await asyncio.gather(*(photos.write("object", b"%d" % number * 20_000) for number in range(6)))
    assert await stored_messages(bus) == 2 + 1
    await photos.delete("object")
    assert await stored_messages(bus) == 0


async def test_a_write_whose_last_word_is_not_heard_does_not_take_the_bytes_from_under_the_object(
    photos: OpenContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await photos.write("object", b"old")
    publish = jetstream.publish

    async def unheard(bus: Bus, subject: str, data: bytes, *, headers: Mapping[str, str]) -> int:
        sequence = await publish(bus, subject, data, headers=headers)
        if ".M." in subject:
            raise DeadlineExceeded("no answer")
        return sequence

    with monkeypatch.context() as patched:
        patched.setattr(jetstream, "publish", unheard)
        assert "no answer in time" in await refusal(photos.write("object", b"new"))
    assert await photos.read("object") == b"new"


async def test_names_that_do_not_come_in_time_are_an_error_and_no_end_of_the_listing(
    photos: OpenContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await photos.write("object", b"value")

    async def nothing_comes(*_: object, **__: object) -> list[Msg]:
        raise NatsTimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(JetStreamContext.PullSubscription, "fetch", nothing_comes)
        assert "no names in time" in await refusal(photos.names())
        assert "no names in time" in await refusal(photos.clear())
    assert await photos.names() == ["object"]


async def test_parts_are_found_among_the_chunks_of_others(photos: OpenContainer) -> None:
    await asyncio.gather(*(photos.write(f"object-{number}", stream_of(MIB)) for number in range(3)))
    for start, end in ((16_383, 16_385), (500_000, 530_000), (MIB - 3, MIB)):
        for number in range(3):
            found = await photos.read(f"object-{number}", start, end)
            assert found == pattern(start, min(end, MIB - 1) - start + 1)


async def test_bytes_that_do_not_have_their_digest_are_not_read_to_the_end(
    photos: OpenContainer, bus: Bus
) -> None:
    await photos.write("object", b"value")
    js = bus.nc.jetstream()
    raw: Any = await js.get_last_msg(f"OBJ_{SHARED}", f"$O.{SHARED}.M.b2JqZWN0")
    damaged = raw.data.replace(b"SHA-256=", b"SHA-256=AAAA")
    await js.publish(f"$O.{SHARED}.M.b2JqZWN0", damaged)
    assert "digest" in await refusal(photos.read("object"))


async def test_credentials_that_may_not_use_streams_fail_the_link_saying_so(running: ProviderTest) -> None:
    narrow = {"user": "narrow", "password": "a", "permissions": {"publish": ["$O.>"], "subscribe": [">"]}}
    async with Server(config={"authorization": {"users": [narrow]}}) as server:
        link = await running.put(config={"url": server.url, "user": "narrow", "password": "a"})
        held = await running.settled(link)
        assert held.state == "failed"
        assert "permit" in (held.error or "")
        assert "credentials" in (held.error or "")


# --- config ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"containers": "with.dot"}, "containers"),
        ({"replicas": "6"}, "replicas"),
        ({"storage": "tape"}, "storage"),
        ({"chunk_bytes": "17"}, "chunk_bytes"),
    ],
)
async def test_a_wrong_value_fails_the_link_naming_its_field(
    running: ProviderTest, config: dict[str, str], field: str
) -> None:
    held = await running.settled(await running.put(config=config))
    assert held.state == "failed"
    assert field in (held.error or "")
