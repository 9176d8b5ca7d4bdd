"""The messaging provider on NATS passes the contract of backends, by publishes that a stream acknowledges."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nats_backend import PASSWORD, USER, NatsBackend
from pytest_asyncio import fixture

from lath.bus import jetstream
from lath.names import new_id
from lath.provider import Provider
from lath.testing.backend_contract import BackendContract
from lath.testing.messaging import Sends
from lath.testing.provider import Linked
from lath_providers.messaging_nats import MessagingNats

STREAM = {"name": "NUMBERS", "subjects": ["number.*"], "max_msgs_per_subject": 1}


class TestMessagingNatsBackend(BackendContract):
    @fixture
    async def backend(self) -> AsyncIterator[NatsBackend]:
        self.backend_used = backend = NatsBackend("lath-messaging ")
        async with backend.server:
            async with await backend.bus() as there:
                await jetstream.call(there, "STREAM.CREATE.NUMBERS", STREAM)
            yield backend

    def make_provider(self) -> Provider:
        return MessagingNats()

    def link_config(self) -> dict[str, str]:
        login = {"url": self.backend_used.url, "user": USER, "password": PASSWORD}
        return {**login, "acknowledged_publish": "number.*", "publish_allow": f"number.*, place.{new_id()}"}

    def wrong_credentials(self) -> dict[str, str]:
        return {**self.link_config(), "password": self.wrong_secret}

    async def exercise(self, linked: Linked) -> None:
        await Sends(linked).publish("number.0")

    async def write(self, linked: Linked, number: int) -> None:
        await Sends(linked).publish(f"number.{number}")

    async def written(self, linked: Linked) -> set[int]:
        async with await self.backend_used.bus() as there:
            info = await jetstream.call(there, "STREAM.INFO.NUMBERS", {"subjects_filter": ">"})
        return {int(subject.removeprefix("number.")) for subject in info["state"].get("subjects", {})}
