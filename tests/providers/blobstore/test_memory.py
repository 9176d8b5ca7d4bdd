"""The blobstore provider in memory passes the contract, and stays within its bound."""

from __future__ import annotations

from typing import ClassVar

import pytest

from lath.bus import Bus
from lath.errors import InvalidArgument
from lath.provider import Provider
from lath.testing.blobstore_contract import MIB, BlobstoreContract, create, refusal
from lath.testing.provider import ProviderTest
from lath_providers.blobstore_memory import BlobstoreMemory


class TestBlobstoreMemory(BlobstoreContract):
    large_bytes: ClassVar[int] = 16 * MIB
    memory_bytes_max: ClassVar[int] = 64 * MIB  # the object itself, twice while its parts are joined

    def make_provider(self) -> Provider:
        return BlobstoreMemory()


async def test_a_write_past_the_bound_is_refused_and_deleting_makes_room(bus: Bus) -> None:
    async with ProviderTest(bus, BlobstoreMemory(), config={"bytes_max": "1000"}) as test:
        container = await create(await test.link(), "things")
        await container.write("one", b"1" * 600)
        assert "full" in await refusal(container.write("other", b"2" * 600))
        assert await container.names() == ["one"]
        await container.write("small", b"3" * 400)
        await container.delete("one")
        await container.write("other", b"2" * 600)
        assert await container.names() == ["other", "small"]


async def test_a_wrong_bound_ends_the_provider_naming_it(bus: Bus) -> None:
    with pytest.raises(InvalidArgument, match="bytes_max"):
        async with ProviderTest(bus, BlobstoreMemory(), config={"bytes_max": "much"}):
            pass
