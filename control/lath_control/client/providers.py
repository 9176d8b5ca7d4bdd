"""Providers: start, stop, and every instance that is there, supervised or standing alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lath.errors import InvalidArgument, NotFound
from lath.model import CloudEvent, StartProvider, StopProvider
from lath.names import check_target, shown
from lath_control.client import artifacts
from lath_control.client.models import ProviderOnHost, Started
from lath_control.client.outcome import WAIT_MS, Outcome
from lath_control.client.placing import place_provider
from lath_control.client.where import where

if TYPE_CHECKING:
    from lath_control.client import Client

STARTED = "provider_started"
START_FAILED = "provider_start_failed"
STOPPED = "provider_stopped"
STANDS_ALONE = "-"
"""Stands for the host's name, for an instance that no host supervises."""


class Providers:
    """`client.providers`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self) -> Sequence[ProviderOnHost]:
        """Every provider that a host supervises, and every instance that stands alone."""
        supervised = [
            ProviderOnHost(
                **provider.model_dump(), host_id=inventory.host_id, host_name=inventory.friendly_name
            )
            for inventory in await self._client.hosts.inventories()
            for provider in inventory.providers
        ]
        known = {provider.instance_id for provider in supervised}
        alone = [
            ProviderOnHost(
                id=presence.target,
                name=presence.name or None,
                instance_id=presence.instance_id,
                status="running",
                host_id="",
                host_name=STANDS_ALONE,
            )
            for presence in self._client.presence.all()
            if presence.kind == "provider" and not presence.host_id and presence.instance_id not in known
        ]
        return supervised + sorted(alone, key=lambda provider: (provider.id, provider.instance_id or ""))

    async def where(self, provider_id: str) -> Sequence[ProviderOnHost]:
        """The instances of one provider.

        Raises:
            NotFound: There is none.
        """
        return where("provider", provider_id, await self.list())

    async def start(
        self,
        ref: str,
        *,
        provider_id: str,
        host: str | None = None,
        constraints: Mapping[str, str] | None = None,
        config: Sequence[str] = (),
        annotations: Mapping[str, str] | None = None,
        wait_ms: int | None = WAIT_MS,
    ) -> Started:
        """Starts a provider under a host's supervision.

        Args:
            ref: `python:some.module`, `builtin:{name}`, `file:///path.py`, or a path that the host sees too.
            provider_id: What it is called in the lattice.
            host: A host's id or name; None holds an auction.
            constraints: Labels that a bidding host must have.
            config: Names of config for the provider.
            annotations: Kept with it, for whoever put it there.
            wait_ms: Wait until it has started; None returns once the host has accepted.

        Raises:
            NotFound: No such host, file or config.
            Unavailable: No host bids, or the named one does not answer.
            LathError: The host could not start it, with its reason.
        """
        check_target(provider_id, "provider id")
        ref = await _provider_ref(ref)
        if host is not None:
            host_id = await self._client.hosts.resolve(host)
        else:
            host_id = await place_provider(
                self._client, ref=ref, provider_id=provider_id, constraints=constraints or {}
            )
        request = StartProvider(
            provider_id=provider_id,
            provider_ref=ref,
            host_id=host_id,
            config=tuple(config),
            annotations=dict(annotations) if annotations else None,
        )
        async with self._outcome(provider_id, host_id, STARTED) as outcome:
            await self._client.control.host(host_id, "provider", "start", body=request)
            event = await outcome.wait(wait_ms) if wait_ms is not None else None
        return self._result(provider_id, host_id, ref, event)

    async def stop(
        self, provider_id: str, *, host: str | None = None, wait_ms: int | None = WAIT_MS
    ) -> Sequence[Started]:
        """Stops a provider, on every host that supervises it or on one.

        Raises:
            NotFound: No host supervises it, or that one does not.
        """
        instances = [provider for provider in await self.where(provider_id) if provider.host_id]
        if host is not None:
            host_id = await self._client.hosts.resolve(host)
            instances = [provider for provider in instances if provider.host_id == host_id]
        if not instances:
            raise NotFound(
                f"no host{f' {shown(host)}' if host else ''} supervises provider {provider_id}: one that "
                "stands alone is stopped where it was started"
            )
        return [await self._stop(provider, wait_ms) for provider in instances]

    async def _stop(self, provider: ProviderOnHost, wait_ms: int | None) -> Started:
        async with self._outcome(provider.id, provider.host_id, STOPPED) as outcome:
            body = StopProvider(host_id=provider.host_id, provider_id=provider.id)
            await self._client.control.host(provider.host_id, "provider", "stop", body=body)
            event = await outcome.wait(wait_ms) if wait_ms is not None else None
        return self._result(provider.id, provider.host_id, provider.image_ref or "", event)

    def _outcome(self, provider_id: str, host_id: str, good: str) -> Outcome:
        def about(event: CloudEvent) -> bool:
            return event.source == host_id and event.data.get("provider_id") == provider_id

        return Outcome(self._client.bus, good={good}, bad={START_FAILED}, about=about)

    def _result(self, provider_id: str, host_id: str, ref: str, event: CloudEvent | None) -> Started:
        return Started(
            id=provider_id,
            host_id=host_id,
            host_name=self._client.hosts.name_of(host_id),
            ref=ref,
            outcome="accepted" if event is None else "done",
            event=event.name if event else None,
        )

    def uptime_ms(self, provider: ProviderOnHost) -> int | None:
        """How long an instance has been present, by this machine's clock; None where it is not."""
        presence = self._client.presence.get(provider.id, provider.instance_id or "")
        return max(0, int(time.time() * 1000) - presence.started_ms) if presence else None


async def _provider_ref(ref: str) -> str:
    if not artifacts.is_file(ref):
        return ref
    if Path(ref).suffix != ".py":
        raise InvalidArgument(
            f"provider {shown(ref)} is not a Python file: use python:some.module, builtin:name or a path.py"
        )
    return await artifacts.local_ref(ref)
