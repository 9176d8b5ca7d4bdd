"""The contract of backends for blobstores that have a server behind them: what asks it, and large reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lath.errors import LathError
from lath.testing import eventually
from lath.testing.backend import Backend
from lath.testing.backend_contract import BackendContract
from lath.testing.blobstore import MIB, create, exists, keep_number, kept_numbers
from lath.testing.provider import Linked

LARGE_MIB = 64
"""More than all that lies between a server and its reader has room for."""
HEAL_S = 60.0
"""Reading it takes seconds where the machine has other things to do."""


class BlobstoreBackendContract(BackendContract):
    """The suite. A subclass says which backend and which provider."""

    async def exercise(self, linked: Linked) -> None:
        await exists(linked, "things")

    async def write(self, linked: Linked, number: int) -> None:
        await keep_number(linked, number)

    async def written(self, linked: Linked) -> set[int]:
        return await kept_numbers(linked)

    async def test_a_read_whose_backend_dies_ends_in_an_error_and_not_in_an_end(
        self, linked: Linked, backend: Backend
    ) -> None:
        """The object is there, whole, once the backend is."""
        piece = bytes(MIB)

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(LARGE_MIB):
                yield piece

        container = await create(linked, "large")
        await container.write("object", pieces())
        stream = await container.stream("object")
        await anext(aiter(stream))
        await backend.stop()
        async with asyncio.timeout(HEAL_S):
            with pytest.raises(LathError):
                await stream.read()
        await stream.aclose()
        await backend.start()

        async def whole() -> bool:
            try:
                again = await container.stream("object")
                size = sum([len(chunk) async for chunk in again])
            except LathError as e:
                raise AssertionError(f"not yet: {e}") from e
            assert size == LARGE_MIB * MIB
            return True

        await eventually(whole, HEAL_S)
