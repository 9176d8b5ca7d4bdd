"""A nats-server with a password as the backend of a provider, apart from the lattice's own."""

from __future__ import annotations

import os
import signal

from frozen import freeze

from lath.bus import Bus, Credentials
from lath.errors import Unavailable
from lath.server import Server

USER = "kv"
PASSWORD = "the backend's own"


class NatsBackend:
    """A `lath.testing.backend.Backend`.

    Args:
        name: How the names of the provider's connections begin.
    """

    def __init__(self, name: str) -> None:
        users = [{"user": USER, "password": PASSWORD}]
        self.server = Server(config={"authorization": {"users": users}})
        self._name = name

    @property
    def url(self) -> str:
        return self.server.url

    async def bus(self) -> Bus:
        """A connection of the test's own."""
        credentials = Credentials(user=USER, password=PASSWORD)
        return await Bus.connect(self.url, lattice="backend", name="test", credentials=credentials)

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.kill()

    async def freeze(self) -> None:
        await freeze(self.server.pid)

    async def thaw(self) -> None:
        try:
            os.kill(self.server.pid, signal.SIGCONT)
        except Unavailable:
            return  # stopped meanwhile

    async def connections(self) -> set[str]:
        found = await self.server.monitor("/connz?limit=4096")
        return {
            str(each["cid"]) for each in found["connections"] if each.get("name", "").startswith(self._name)
        }
