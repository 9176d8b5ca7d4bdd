"""The blobstore provider on the NATS object store passes the contract of backends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from nats_backend import PASSWORD, USER, NatsBackend
from pytest_asyncio import fixture

from lath.errors import LathError
from lath.names import new_id
from lath.provider import OpError, Provider
from lath.testing import eventually
from lath.testing.backend_contract import BackendContract
from lath.testing.blobstore import exists, keep_number, kept_numbers
from lath.testing.provider import Linked
from lath_providers.blobstore_nats import BlobstoreNats


class TestBlobstoreNatsBackend(BackendContract):
    @fixture
    async def backend(self) -> AsyncIterator[NatsBackend]:
        backend = NatsBackend("lath-blobstore ")
        async with backend.server:
            self.url = backend.url
            yield backend

    def make_provider(self) -> Provider:
        return BlobstoreNats()

    def link_config(self) -> dict[str, str]:
        return {"url": self.url, "user": USER, "password": PASSWORD, "containers": f"unused-{new_id()}"}

    def wrong_credentials(self) -> dict[str, str]:
        return {**self.link_config(), "password": self.wrong_secret}

    async def exercise(self, linked: Linked) -> None:
        await exists(linked, "things")

    async def write(self, linked: Linked, number: int) -> None:
        await keep_number(linked, number)

    async def written(self, linked: Linked) -> set[int]:
        return await kept_numbers(linked)

    async def test_no_acknowledged_object_is_lost_when_the_server_is_killed(
        self, linked: Linked, backend: NatsBackend
    ) -> None:
        await keep_number(linked, 0)
        written = {0}

        async def write(number: int) -> None:
            await keep_number(linked, number)
            written.add(number)

        writing = [asyncio.ensure_future(write(number)) for number in range(1, 200)]
        await eventually(lambda: len(written) >= 20)
        await backend.stop()
        await asyncio.gather(*writing, return_exceptions=True)
        await backend.start()

        async def all_there() -> bool:
            with contextlib.suppress(LathError, OpError):
                return await kept_numbers(linked) >= written
            return False

        await eventually(all_there, 20)
