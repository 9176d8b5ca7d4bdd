"""Components: start, scale, update, stop; what runs where; what one is and whether it can work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from lath.errors import DeadlineExceeded, InvalidArgument, NotFound, Unavailable
from lath.model import (
    CloudEvent,
    ComponentLimits,
    ComponentSettings,
    Ctl,
    ScaleComponent,
    UpdateComponent,
)
from lath.names import Target, check_target
from lath.wit.types import World
from lath.wit.types_json import from_json
from lath_control.client import artifacts
from lath_control.client.inspecting import inspect_component
from lath_control.client.models import ComponentInspection, ComponentOnHost, Started
from lath_control.client.outcome import WAIT_MS, Outcome
from lath_control.client.placing import place_component
from lath_control.client.where import where

if TYPE_CHECKING:
    from lath_control.client import Client

COUNT_DEFAULT: Final = 10
"""Calls at once on one host, where nobody says: enough that callers do not wait for each other."""
SCALED = "component_scaled"
SCALE_FAILED = "component_scale_failed"


class DescribeComponent(Ctl):
    """`component.describe.{host}`, lath's own: the types of a running component."""

    component_id: Target


class Components:
    """`client.components`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self) -> Sequence[ComponentOnHost]:
        """Every component on every host that answers."""
        return [
            ComponentOnHost(
                **component.model_dump(), host_id=inventory.host_id, host_name=inventory.friendly_name
            )
            for inventory in await self._client.hosts.inventories()
            for component in inventory.components
        ]

    async def where(self, component_id: str) -> Sequence[ComponentOnHost]:
        """The hosts that run a component.

        Raises:
            NotFound: None does.
        """
        return where("component", component_id, await self.list())

    async def start(
        self,
        ref: str,
        *,
        component_id: str,
        host: str | None = None,
        constraints: Mapping[str, str] | None = None,
        count: int = COUNT_DEFAULT,
        config: Sequence[str] = (),
        settings: ComponentSettings | None = None,
        limits: ComponentLimits | None = None,
        annotations: Mapping[str, str] | None = None,
        local: bool = False,
        allow_update: bool = False,
        wait_ms: int | None = WAIT_MS,
    ) -> Started:
        """Starts a component on one host.

        Args:
            ref: A path on this machine, which is uploaded to the lattice's artifact store; or a reference
                that hosts understand (`bus:sha256:…`, `file://…`).
            component_id: What it is called in the lattice.
            host: A host's id or name; None holds an auction.
            constraints: Labels that a bidding host must have.
            count: Most calls at once on that host.
            config: Names of config for the component.
            settings: What else it is given, and whom it may reach; absent: nothing and nobody, or what it has
                where it runs there already.
            limits: What it may use; absent: the host's defaults.
            annotations: Kept with it, for whoever put it there.
            local: Pass a path on as `file://…` in place of uploading: for hosts on this machine.
            allow_update: Start it also where the id stands for other bytes: on that host, which then runs
                these instead, or on others, which go on running theirs.
            wait_ms: Wait until it runs; None returns once the host has accepted.

        Raises:
            NotFound: No such file, host or config.
            Unavailable: No host bids, or the named one does not answer.
            Conflict: That id runs from another reference there, or from other bytes elsewhere.
            LathError: The host could not start it, with its reason.
        """
        check_target(component_id, "component id")
        _check_count(count, least=1)
        ref = await self.send_to_store(ref, local=local)
        if host is not None:
            host_id = await self._client.hosts.resolve(host)
        else:
            host_id = await place_component(
                self._client, ref=ref, component_id=component_id, constraints=constraints or {}
            )
        request = ScaleComponent(
            component_ref=ref,
            component_id=component_id,
            count=count,
            host_id=host_id,
            annotations=dict(annotations) if annotations else None,
            component_limits=limits,
            config=tuple(config),
            allow_update=allow_update,
            **_given(settings),
        )
        return await self._scale(request, wait_ms)

    async def send_to_store(self, ref: str, *, local: bool = False) -> str:
        """The reference under which hosts find `ref`: a path is uploaded first, other references stay."""
        if not artifacts.is_file(ref):
            return ref
        return await (artifacts.local_ref(ref) if local else artifacts.upload(self._client.bus, ref))

    async def scale(
        self,
        component_id: str,
        count: int,
        *,
        host: str | None = None,
        settings: ComponentSettings | None = None,
        wait_ms: int | None = WAIT_MS,
    ) -> Sequence[Started]:
        """Changes how many calls at once a component takes, on every host that runs it or on one; 0 stops it.

        Args:
            component_id: The component.
            count: Most calls at once, on each host.
            host: Only there; None: everywhere that it runs.
            settings: Those that are to change; what is empty is taken away.
            wait_ms: As for `start`, for each host.

        Raises:
            NotFound: No host runs it, or that one does not.
            LathError: A host could not, with its reason.
        """
        _check_count(count, least=0)
        return [
            await self._scale(
                ScaleComponent(
                    component_ref=running.image_ref,
                    component_id=component_id,
                    count=count,
                    host_id=running.host_id,
                    annotations=running.annotations,
                    **_given(settings),
                ),
                wait_ms,
            )
            for running in await self._chosen(component_id, host)
        ]

    async def stop(
        self, component_id: str, *, host: str | None = None, wait_ms: int | None = WAIT_MS
    ) -> Sequence[Started]:
        """Stops a component, on every host that runs it or on one: running calls finish first."""
        return await self.scale(component_id, 0, host=host, wait_ms=wait_ms)

    async def update(
        self,
        component_id: str,
        ref: str,
        *,
        host: str | None = None,
        settings: ComponentSettings | None = None,
        local: bool = False,
        wait_ms: int | None = WAIT_MS,
    ) -> Sequence[Started]:
        """Replaces a running component's code, one host after the other.

        Args:
            component_id: The component.
            ref: As for `start`.
            host: Only there; None: everywhere that it runs.
            settings: As for `scale`.
            local: As for `start`.
            wait_ms: As for `start`, for each host.

        Raises:
            NotFound: No host runs it, or that one does not.
            LathError: A host could not, with its reason; the hosts after it keep what they have.
        """
        running = await self._chosen(component_id, host)
        new_ref = await self.send_to_store(ref, local=local)
        return [await self._update(component, new_ref, settings, wait_ms) for component in running]

    async def _chosen(self, component_id: str, host: str | None) -> Sequence[ComponentOnHost]:
        running = await self.where(component_id)
        if host is None:
            return running
        host_id = await self._client.hosts.resolve(host)
        found = [component for component in running if component.host_id == host_id]
        if not found:
            names = ", ".join(sorted(component.host_name for component in running))
            raise NotFound(f"host {host} does not run component {component_id}; running on: {names}")
        return found

    async def _scale(self, request: ScaleComponent, wait_ms: int | None) -> Started:
        async with self._outcome(request.component_id, request.host_id) as outcome:
            await self._client.control.host(request.host_id, "component", "scale", body=request)
            event = await outcome.wait(wait_ms) if wait_ms is not None else None
        return self._started(request, request.component_ref, request.count, event)

    async def _update(
        self, component: ComponentOnHost, ref: str, settings: ComponentSettings | None, wait_ms: int | None
    ) -> Started:
        request = UpdateComponent(
            component_id=component.id,
            new_component_ref=ref,
            host_id=component.host_id,
            annotations=component.annotations,
            **_given(settings),
        )
        async with self._outcome(component.id, component.host_id) as outcome:
            await self._client.control.host(component.host_id, "component", "update", body=request)
            event = await outcome.wait(wait_ms) if wait_ms is not None else None
        return self._started(request, ref, component.max_instances, event)

    def _outcome(self, component_id: str, host_id: str) -> Outcome:
        def about(event: CloudEvent) -> bool:
            return event.source == host_id and event.data.get("component_id") == component_id

        return Outcome(self._client.bus, good={SCALED}, bad={SCALE_FAILED}, about=about)

    def _started(
        self, request: ScaleComponent | UpdateComponent, ref: str, count: int, event: CloudEvent | None
    ) -> Started:
        outcome: Literal["accepted", "done"] = "accepted" if event is None else "done"
        return Started(
            id=request.component_id,
            host_id=request.host_id,
            host_name=self._client.hosts.name_of(request.host_id),
            ref=ref,
            count=count,
            outcome=outcome,
            event=event.name if event else None,
        )

    async def describe(self, component_id: str) -> World:
        """The types of a running component: what it imports and exports.

        Raises:
            NotFound: No host runs it.
        """
        hosts = {p.host_id for p in self._client.presence.instances(component_id) if p.kind == "component"}
        if not hosts:
            hosts = {component.host_id for component in await self.where(component_id)}
        for host_id in sorted(hosts)[:-1]:
            try:
                return await self._described(component_id, host_id)
            except (NotFound, Unavailable, DeadlineExceeded):
                continue  # it has just stopped the component, or is gone itself: another one knows
        return await self._described(component_id, sorted(hosts)[-1])

    async def _described(self, component_id: str, host_id: str) -> World:
        response = await self._client.control.host(
            host_id, "component", "describe", body=DescribeComponent(component_id=component_id)
        )
        return from_json(response, World)

    async def inspect(self, component_id: str, *, whole: bool = False) -> ComponentInspection:
        """What a component is, where it runs, and whether the links that it needs are there and live.

        Args:
            component_id: Which one.
            whole: Show what the host itself provides in its WIT too.

        Raises:
            NotFound: No host runs it.
        """
        return await inspect_component(self._client, component_id, whole=whole)


def _given(settings: ComponentSettings | None) -> dict[str, Any]:
    """The fields of a request that carry settings."""
    return settings.model_dump() if settings is not None else {}


def _check_count(count: int, *, least: int) -> None:
    if count < least:
        raise InvalidArgument(f"count {count} is below {least}: 'lath stop' stops a component")
