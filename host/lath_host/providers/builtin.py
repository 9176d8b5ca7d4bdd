"""Providers that run inside the host: the same class as in a process of its own, without the bus hop.

They are found through the entry-point group `lath.providers`; the name there is the name in `builtin:{name}`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lath.bus import Bus
from lath.errors import NotFound
from lath.http import HttpRequest, HttpResponse
from lath.model import ProviderStatus
from lath.names import new_id
from lath.provider import Provider, ProviderInstance
from lath.provider.installed import find_provider
from lath.rpc import Caller
from lath.secrets import ParticipantKeys
from lath_host.components.local import LocalCall, LocalTargets, observed
from lath_host.providers.nearby import Nearby
from lath_host.providers.supervisor import ProviderSpec


async def find_builtin(name: str) -> type[Provider]:
    """The provider class of that name; looked for and imported in a thread, since both read files.

    Raises:
        NotFound: No installed distribution offers it; the message names those that are offered.
        InvalidArgument: What is offered cannot be imported or is no provider.
    """
    return await asyncio.to_thread(find_provider, name)


class BuiltinProvider:
    """One provider inside this host.

    Args:
        spec: What to run.
        provider: The class.
        bus: The host's connection.
        host_id: The host.
        targets: Where it is offered to the components here.
        config: Reads its config, at the start.
        secret_keys: Of its secrets; None: there are none.
        presence_ttl_ms: How long its presence holds without renewal.
        caller: The host's, for the calls that it makes itself.
    """

    pid: int | None = None
    restarts = 0
    ended_at: float | None = None

    def __init__(
        self,
        spec: ProviderSpec,
        provider: type[Provider],
        bus: Bus,
        host_id: str,
        targets: LocalTargets,
        config: Callable[[], Awaitable[Mapping[str, str]]],
        presence_ttl_ms: int,
        caller: Caller,
        secret_keys: ParticipantKeys | None,
    ) -> None:
        self.spec = spec
        self.status: ProviderStatus = "starting"
        self.instance_id = new_id()
        self.last_error: str | None = None
        self._provider = provider
        self._bus = bus
        self._host_id = host_id
        self._targets = targets
        self._config = config
        self._presence_ttl_ms = presence_ttl_ms
        self._nearby = Nearby(targets, caller, bus.lattice)
        self._secret_keys = secret_keys
        self._instance: ProviderInstance | None = None
        self._calls = itertools.count(1)

    async def start(self) -> None:
        """Starts it; on return it serves.

        Raises:
            LathError: Why it cannot.
        """
        self._instance = ProviderInstance(
            self._provider(),
            self._bus,
            provider_id=self.spec.id,
            instance_id=self.instance_id,
            host_id=self._host_id,
            config=dict(await self._config()),
            presence_ttl_ms=self._presence_ttl_ms,
            nearby=self._nearby,
            secret_keys=self._secret_keys,
        )
        await self._instance.start()
        self.status = "running"
        self._targets.add(self.spec.id, self)

    async def update(self, config: Mapping[str, str], secret_keys: ParticipantKeys | None) -> None:
        """Gives it its config and keys as they are now."""
        self._secret_keys = secret_keys
        if self._instance is not None and self.status == "running":
            await self._instance.update(config, secret_keys)

    async def stop(self, grace_s: float) -> None:
        """Takes no new calls, lets those that run finish, closes its links."""
        self.status = "stopping"
        self._targets.remove(self.spec.id, self)
        if self._instance is not None:
            try:
                await self._instance.drain(grace_s * 1000)
            finally:
                await self._instance.close()

    def has_room(self) -> bool:
        return self.status == "running" and self._instance is not None and self._instance.accepting

    async def http_local(self, call: LocalCall, request: HttpRequest) -> HttpResponse:
        """Refuses a request: providers serve no HTTP to links.

        Raises:
            NotFound: Always.
        """
        raise NotFound(f"provider {self.spec.id} does not serve {call.interface}")

    async def call_local(self, call: LocalCall) -> Any:
        """A call of a component of this host; wire values in and out."""
        assert self._instance is not None, "offered only once it runs"
        with observed("server", self.spec.id, self.instance_id, call):
            return await self._instance.handle_local(
                source=call.source,
                link=call.link_name,
                interface=call.interface,
                function=call.function,
                params=call.params,
                deadline=call.deadline,
                revision=call.revision,
                call_id=f"local-{next(self._calls):x}",
            )
