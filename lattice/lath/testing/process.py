"""A provider as a process that a test can kill, with links to it and calls by them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from lath.bus import Bus
from lath.config import ConfigStore
from lath.errors import LinkFailed
from lath.links import LinkStore
from lath.model import LinkSpec
from lath.presence import PresenceView
from lath.provider import Provider
from lath.provider.outgoing import Neighbour, OutgoingCalls
from lath.rpc import Caller
from lath.testing import eventually
from lath.testing.provider import Linked
from lath.verbs import LinkOps

PRESENCE_TTL_MS: Final = 2_000
"""Short, so that a killed process is soon known to be gone."""
START_S: Final = 30.0
LIVE_MS: Final = 20_000


class _Caller:
    """Calls by presence, as a host does, and knows no target in its own process."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def find(self, target_id: str) -> Neighbour | None:
        return None


class ProviderProcess:
    """One instance of a provider in a process of its own. An async context manager.

    Args:
        bus: An operator's connection.
        nats_url: What the process connects to.
        module: What runs it: `python -m {module}`.
        served_by: A provider of the same class, which says what is served.
        provider_id: What links name.

    Attributes:
        id: What links name.
    """

    def __init__(
        self, bus: Bus, nats_url: str, module: str, served_by: Provider, *, provider_id: str = "process"
    ) -> None:
        self._bus = bus
        self._url = nats_url
        self._module = module
        self._operations = served_by.operations
        self.id = provider_id
        self._presence = PresenceView(bus)
        self._caller = Caller(bus, self._presence, "app")
        self._calls = OutgoingCalls(bus, "app", _Caller(self._caller))
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self._presence.__aenter__()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        await self._calls.close()
        await self._caller.close()
        await self._presence.__aexit__(kind, error, trace)

    async def start(self) -> None:
        """Starts the process, and waits until it has announced itself."""
        known = {each.instance_id for each in self._presence.instances(self.id)}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module,
            "--nats-url", self._url, "--lattice", self._bus.lattice, "--id", self.id,
            "--presence-ttl-ms", str(PRESENCE_TTL_MS),
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await eventually(
            lambda: {each.instance_id for each in self._presence.instances(self.id)} - known,
            START_S,
            what=f"the presence of {self._module}",
        )

    async def kill(self) -> None:
        """Kills it (SIGKILL). Nothing where it does not run."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def link(self, config: Mapping[str, str]) -> Linked:
        """Puts a link to it, waits until it is live, and returns what calls by it.

        Raises:
            LinkFailed: It did not become live; with the reason.
        """
        namespace, package = next(iter(self._operations))[:2]
        served = sorted({key[2] for key in self._operations if key[:2] == (namespace, package)})
        name = f"{self.id}-config"
        await ConfigStore(self._bus).put(name, config)
        spec = LinkSpec(
            source_id="app", target=self.id, wit_namespace=namespace, wit_package=package,
            interfaces=tuple(served), target_config=(name,),
        )  # fmt: skip
        store = LinkStore(self._bus)
        links = LinkOps(self._bus, self._presence, store)
        try:
            report = await links.put_and_wait(spec, LIVE_MS)
        finally:
            await links.close()
        if report.verdict != "live":
            raise LinkFailed(f"link {spec.key} is {report.verdict}")
        return Linked(self._calls, (await store.list()).links[spec.key])
