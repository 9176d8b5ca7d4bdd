"""One deployed component: its code, its pool, how it is called, its presence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final
from weakref import WeakSet

from lath.codec import ComponentHandle, unpack_for_type
from lath.codec.handles import parse_tokens
from lath.errors import DeadlineExceeded, Draining, InvalidArgument
from lath.http import HttpRequest, HttpResponse
from lath.model import ComponentDescription, Link, Presence
from lath.names import CLIENT_SOURCE, NO_LINK, new_id
from lath.presence import PresenceAnnouncer
from lath.rpc import CallServer, IncomingCall, Streamed
from lath.subjects import RELEASE_FUNCTION, RENEW_FUNCTION
from lath.telemetry import get_logger, read_usage, sampled
from lath_host.components import linkable
from lath_host.components.deployment import Deployment
from lath_host.components.fusion import FusedWay
from lath_host.components.fusion_plan import Member
from lath_host.components.guest_log import GuestLog
from lath_host.components.held import HeldHandles, near_of
from lath_host.components.http_way import HttpWay
from lath_host.components.imports import GuestCall, Imports
from lath_host.components.local import LocalCall, observed
from lath_host.components.offered import Offer, Offered, sendable
from lath_host.components.own_interfaces import OwnInterfaces
from lath_host.components.parts import ComponentParts
from lath_host.components.programs import check_program, http_serving, offered_world, service_of
from lath_host.components.reach import Reach
from lath_host.components.service_run import ServiceRun
from lath_host.components.streamed_way import StreamedWay
from lath_host.engine.admission import Admission
from lath_host.engine.engine import CompiledComponent
from lath_host.engine.limits import Limits, PoolStats
from lath_host.engine.linkage import ImportHandler
from lath_host.engine.pool import InstancePool
from lath_host.engine.usage import Usage, tell_bytes
from lath_host.identity import lath_version

DRAIN_LINGER_MS: Final = 250
"""How long a stopping component goes on answering `draining`, so that callers who have not yet seen its
presence end are sent elsewhere instead of waiting."""

_log = get_logger(__name__)


class Component:
    """A component that runs on this host, under an instance id of its own.

    Args:
        parts: What it shares with the host's others.
        deployment: What was asked for.
        compiled: Its code.

    Raises:
        InvalidArgument: One of its settings cannot be read, or does not fit it.
    """

    def __init__(self, parts: ComponentParts, deployment: Deployment, compiled: CompiledComponent) -> None:
        check_program(deployment, compiled.world)
        self.deployment = deployment
        self.compiled = compiled
        self.instance_id = new_id()
        self.offered = Offered(deployment.id, offered_world(deployment, compiled.world))
        self._parts = parts
        self._draining = False
        self._limits = deployment.pool_limits()
        self._reach = Reach(parts, deployment)
        self._usage = Usage()
        self._log = GuestLog(self.id, self.instance_id)
        self._unread: Callable[[], None] | None = None
        self._pools: WeakSet[InstancePool] = WeakSet()
        self._holdings = HeldHandles(deployment.id, parts.bus, parts.targets, self._held)
        self.imports = Imports(
            deployment.id,
            parts.routes,
            parts.targets,
            parts.caller,
            parts.bus.lattice,
            self._holdings,
            OwnInterfaces(self._config, self._log, parts.secrets_of(self.id)),
            StreamedWay(parts.bus, parts.caller, parts.targets, self._usage),
            self._usage,
        )
        self._admission = Admission(self.id, self._limits.max_instances, self._limits.queue_max)
        self._pool = self._make_pool(self._limits, admission=self._admission)
        serving = http_serving(deployment, compiled.world, self._pool)
        self._http = HttpWay(self.id, serving, lambda: self.deployment.limits.timeout_ms)
        self.fused_way = FusedWay(self.id, parts.engine, self._make_fused_pool)
        service = service_of(deployment, compiled.world)
        self._service = (
            ServiceRun(deployment.id, service, self._limits, self._make_pool) if service is not None else None
        )
        self._server = CallServer(
            parts.bus,
            deployment.id,
            self.instance_id,
            self._serve,
            metadata={"kind": "component", "host": parts.host_id},
            notices={
                RELEASE_FUNCTION: lambda data: self.release(parse_tokens(data)),
                RENEW_FUNCTION: lambda data: self.renew(parse_tokens(data)),
            },
        )
        self._presence = PresenceAnnouncer(parts.bus, self._describe_presence())

    @property
    def id(self) -> str:
        return self.deployment.id

    def _make_pool(
        self,
        limits: Limits,
        *,
        compiled: CompiledComponent | None = None,
        on_import: ImportHandler | None = None,
        admission: Admission | None = None,
    ) -> InstancePool:
        """A pool of this component, or of what it is a part of."""
        pool = InstancePool(
            self._parts.engine,
            compiled or self.compiled,
            limits,
            on_import or self.imports,
            name=self.id,
            log=self._log.says,
            usage=self._usage,
            admission=admission,
            instance_id=self.instance_id,
            holdings=self._holdings,
            surroundings=self._reach.surroundings,
            destructor_context=self._destructor_context,
        )
        self._pools.add(pool)
        return pool

    def _make_fused_pool(self, compiled: CompiledComponent, on_import: ImportHandler) -> InstancePool:
        return self._make_pool(
            self._limits, compiled=compiled, on_import=on_import, admission=self._admission
        )

    # --- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts to serve: instances first, then the subscriptions, then the presence.

        Raises:
            InvalidArgument: The component imports what cannot be supported, or cannot be instantiated.
        """
        self._unread = read_usage(self.id, self._usage.measured)
        await self._pool.start()
        self._parts.targets.homes[self.instance_id] = self
        await self._server.start()
        await self._presence.start()
        if self._service is not None:
            self._service.start()
        self._parts.targets.add(self.id, self)
        self._parts.fusion.joined(self)

    async def rescale(self, deployment: Deployment) -> None:
        """Applies other limits; what runs goes on.

        Raises:
            InvalidArgument: The limits are not valid, or need the component to be started anew
                (`Deployment.runs_like`).
        """
        check_program(deployment, self.compiled.world)
        limits = deployment.pool_limits()
        await self._pool.scale(limits)
        if self._service is not None:
            await self._service.rescale(limits)
        self.deployment = deployment
        self._limits = limits
        self._parts.fusion.changed(self)

    async def withdraw(self) -> None:
        """Tells everybody to call it no more; it goes on serving those who have not heard."""
        await self._presence.withdraw()

    async def leave_bus(self) -> None:
        """Takes no more calls from the bus; returns once those that run have ended, and handles are dropped.

        Withdraw first. Components beside it may still call it: what they run before they stop may need it.
        """
        if self._pool.stats.pinned:
            await self._pool.retire()
        await self._server.drain(DRAIN_LINGER_MS)
        for pool in self._pools:
            pool.clear_idle()  # what they hold of others' resources is needed no more

    async def stop(self, grace_ms: float) -> None:
        """Takes no new calls, lets those that run finish for `grace_ms` at most, and closes."""
        self._take_no_more()
        await self.withdraw()
        if self._service is not None:
            await self._service.close()
        try:
            async with asyncio.timeout(grace_ms / 1000):
                await self.leave_bus()
                await self._pool.drain()
                await self.fused_way.drained()
        except TimeoutError:
            _log.warning(
                "component did not finish its calls in time", component_id=self.id, grace_ms=grace_ms
            )
        finally:
            await self.close()

    async def close(self) -> None:
        """Stops at once; what still runs is cancelled."""
        self._take_no_more()
        await self._presence.close()
        await self._server.close()
        if self._service is not None:
            await self._service.close()
        await self.fused_way.close()
        await self._pool.close()
        await self._reach.close()
        self._parts.targets.homes.pop(self.instance_id, None)
        await self._holdings.close()
        self._log.close()
        if self._unread is not None:
            self._unread()

    def _take_no_more(self) -> None:
        """From here on it gets no call of a component beside it, as itself or as a part of that."""
        self._draining = True
        self._parts.targets.remove(self.id, self)
        self._parts.fusion.left(self)

    # --- calls -----------------------------------------------------------------------------------------

    async def _serve(self, call: IncomingCall) -> bytes | Streamed:
        """A call that came over the bus."""
        subject, header = call.subject, call.header
        if subject.source != CLIENT_SOURCE or subject.link != NO_LINK:
            path = (subject.source, subject.namespace, subject.package, subject.link, subject.interface)
            await self._parts.routes.admit(path, self.id, header.revision, call.deadline)
        export = self.offered.find(
            subject.namespace, subject.package, subject.interface, header.interface_version, subject.function
        )
        if export.http:
            return await self._http.remote(export.interface, call)
        params = unpack_for_type(call.payload)
        context = GuestCall(call.deadline, header.app_version)
        result: bytes = sendable(export.pack, await self._run(export, params, context, near_of(call.near)))
        self._usage.bytes_in += len(call.payload)
        self._usage.bytes_out += len(result)
        if sampled():
            tell_bytes(len(call.payload), len(result))
        return result

    async def call_local(self, call: LocalCall) -> Any:
        """A call of another component, or of a provider, of this host; wire values in and out."""
        name = call.interface
        path = (call.source, name.namespace, name.package, call.link_name, name.interface)
        with observed("server", self.id, self.instance_id, call):
            await self._parts.routes.admit(path, self.id, call.revision, call.deadline)
            export = self.offered.find(
                name.namespace, name.package, name.interface, name.version, call.function
            )
            context = GuestCall(call.deadline, call.app_version, hops=call.hops)
            result = await self._run(export, call.params, context, call.near)
            if export.check is not None:
                sendable(export.check, result)
            return result

    async def http_local(self, call: LocalCall, request: HttpRequest) -> HttpResponse:
        """A request of a provider that is built into this host (local.LocalTarget)."""
        name = call.interface
        path = (call.source, name.namespace, name.package, call.link_name, name.interface)
        routes = self._parts.routes
        if not routes.allow(path, self.id, call.revision):
            await routes.admit(path, self.id, call.revision, call.deadline)
        export = self.offered.find(name.namespace, name.package, name.interface, name.version, call.function)
        return await self._http.answer(export.interface, request, call.deadline, call.app_version)

    async def _run(self, export: Offer, params: Any, context: GuestCall, near: bytes) -> Any:
        if not isinstance(params, list):
            raise InvalidArgument(f"the parameters of {export.function} must be an array, one item for each")
        interface, function = export.interface, export.function
        fused = self.fused_way.pool
        if fused is not None and not export.owned and not sampled():
            left_ms = self._left_ms(function, context)
            self.fused_way.calls += 1
            try:
                return await fused.call(interface, function, params, context=context, timeout_ms=left_ms)
            except Draining:  # it was withdrawn before the call had its turn, so nothing has run
                self.fused_way.calls -= 1
        left_ms = self._left_ms(function, context)
        return await self._pool.call(
            interface, function, params, context=context, timeout_ms=left_ms, near=near
        )

    def _left_ms(self, function: str, context: GuestCall) -> int:
        left_ms = (context.deadline - asyncio.get_running_loop().time()) * 1000
        if left_ms <= 0:
            raise DeadlineExceeded(f"the time-out passed before {function} of {self.id} was run")
        longest_ms = self.deployment.limits.timeout_ms or left_ms
        return max(1, int(min(left_ms, longest_ms)))

    # --- handles ---------------------------------------------------------------------------------------

    def renew(self, tokens: Sequence[bytes]) -> None:
        """Somebody still holds the handles of these tokens."""
        self._pool.renew(tokens)

    def release(self, tokens: Sequence[bytes]) -> None:
        """Nobody holds them any more."""
        self._pool.release(tokens)

    def _destructor_context(self) -> GuestCall:
        return GuestCall(asyncio.get_running_loop().time() + self._limits.timeout_ms / 1000)

    def _held(self) -> Iterator[ComponentHandle]:
        """The handles of other components' resources that its guests hold."""
        return (handle for pool in list(self._pools) for handle in pool.held())

    def has_room(self) -> bool:
        return not self._draining and self._pool.has_room()

    # --- what it says of itself ------------------------------------------------------------------------

    def fault_of_link(self, link: Link) -> str | None:
        """Why this component, as the target of `link`, cannot serve it; None when it can."""
        return linkable.fault_of_link(self.id, self.offered, self.compiled, link)

    def member(self) -> Member:
        """The component as a part of plans (fusion.Fusable)."""
        return Member(
            self.id,
            self.instance_id,
            self._limits,
            self.deployment.limits.timeout_ms,
            self.deployment.fuse,
            self.deployment.settings,
            self.compiled,
            self.offered,
        )

    def describe(self) -> ComponentDescription:
        limits = {
            name: value
            for name, value in asdict(self._limits).items()
            if value is not None and name != "max_instances"
        }
        return ComponentDescription(
            id=self.id,
            image_ref=self.deployment.ref,
            name=self.id,
            annotations=dict(self.deployment.annotations),
            revision=self.deployment.updates,
            max_instances=self.deployment.max_instances,
            limits={**limits, "fuse": self.deployment.fuse},
            instance_id=self.instance_id,
            exports=self.offered.interfaces,
            imports=linkable.linked_imports(self.compiled.world),
            digest=self.compiled.digest,
            stats={**asdict(self._stats()), **self._usage.totals()},
            service=self._service.describe() if self._service is not None else None,
            fused=self.fused_way.fused or None,
            unfused=dict(self.fused_way.unfused) or None,
            **self.deployment.settings.shown(),
        )

    def _stats(self) -> PoolStats:
        admission, own, fused = self._admission, self._pool.stats, self.fused_way.pool
        return replace(
            own,
            running=admission.running,
            queued=len(admission.waiting),
            idle=own.idle + (fused.stats.idle if fused else 0),
            calls_fused=self.fused_way.calls,
        )

    def _describe_presence(self) -> Presence:
        return Presence(
            kind="component",
            target=self.id,
            instance_id=self.instance_id,
            host_id=self._parts.host_id,
            started_ms=int(time.time() * 1000),
            version=lath_version(),
            name=self.id,
            interfaces=self.offered.interfaces,
            ttl_ms=self._parts.presence_ttl_ms,
            digest=self.compiled.digest,
        )

    def _config(self) -> Mapping[str, str]:
        return self._parts.config_values(self.deployment.config)
