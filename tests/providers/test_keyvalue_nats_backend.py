"""The keyvalue provider on NATS KV passes the contract of backends: its server down, slow, refusing it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nats_backend import PASSWORD, USER, NatsBackend
from pytest_asyncio import fixture

from lath.names import new_id
from lath.provider import Provider
from lath.testing.backend_contract import BackendContract
from lath.testing.keyvalue_contract import STORE, Opened
from lath.testing.provider import Linked
from lath_providers.keyvalue_nats import KeyValueNats


class TestKeyValueNatsBackend(BackendContract):
    @fixture
    async def backend(self) -> AsyncIterator[NatsBackend]:
        backend = NatsBackend("lath-kv ")
        async with backend.server:
            self.url = backend.url
            yield backend

    def make_provider(self) -> Provider:
        return KeyValueNats()

    def link_config(self) -> dict[str, str]:
        return {"url": self.url, "user": USER, "password": PASSWORD, "bucket": f"test-{new_id()}"}

    def wrong_credentials(self) -> dict[str, str]:
        return {**self.link_config(), "password": self.wrong_secret}

    async def opened(self, linked: Linked) -> Opened:
        return Opened(linked, await linked.call(STORE, "open", ""))

    async def exercise(self, linked: Linked) -> None:
        await (await self.opened(linked)).get("key")

    async def write(self, linked: Linked, number: int) -> None:
        await (await self.opened(linked)).set(f"number-{number}", b"1")

    async def written(self, linked: Linked) -> set[int]:
        keys = await (await self.opened(linked)).all_keys()
        return {int(key.removeprefix("number-")) for key in keys}
