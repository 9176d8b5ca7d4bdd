"""What the contract suites have in common: the provider under test, on a real bus, and a link to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pytest_asyncio import fixture

from lath.bus import Bus
from lath.provider import Provider
from lath.server import Server
from lath.testing.provider import Linked, ProviderTest


class ProviderContract:
    """The base of the suites. A subclass says what is tested."""

    def make_provider(self) -> Provider:
        """A new provider."""
        raise TypeError(f"{type(self).__name__} defines no make_provider(self) that returns the provider")

    def link_config(self) -> dict[str, str]:
        """The target config of a link to a fresh place in the backend."""
        return {}

    @fixture
    async def running(self, bus: Bus, nats_server: Server) -> AsyncIterator[ProviderTest]:
        """The provider, running."""
        async with ProviderTest(bus, self.make_provider(), nats_url=nats_server.url) as test:
            yield test

    @fixture
    async def linked(self, running: ProviderTest) -> Linked:
        """An active link to it."""
        return await running.link(config=self.link_config())
