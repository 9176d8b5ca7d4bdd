"""The components of a host: placed, scaled, updated, stopped; one operation at a time for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from weakref import WeakValueDictionary

from lath.errors import Conflict, LathError, NotFound
from lath.model import ComponentDescription, Link, ScaleComponent, UpdateComponent
from lath.names import shown
from lath.telemetry import get_logger
from lath_host import artifacts
from lath_host.components.component import Component
from lath_host.components.deployment import Deployment
from lath_host.components.parts import ComponentParts
from lath_host.engine.engine import CompiledComponent
from lath_host.events import EventPublisher
from lath_host.participant_ids import ParticipantIds

_log = get_logger(__name__)


class Components:
    """The table of components.

    Args:
        parts: What they share.
        ids: Which ids are taken by providers.
        events: Where outcomes are told.
        changed: Called after one started or stopped.
        drain_ms: Longest wait for the running calls of one that stops.
    """

    def __init__(
        self,
        parts: ComponentParts,
        ids: ParticipantIds,
        events: EventPublisher,
        changed: Callable[[], Awaitable[None]],
        drain_ms: int,
    ) -> None:
        self._parts = parts
        self._ids = ids
        self._events = events
        self._changed = changed
        self._drain_ms = drain_ms
        self._running: dict[str, Component] = {}
        # Weak: a lock lives for as long as somebody holds it or waits for it.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._stopping = False

    # --- looking ---------------------------------------------------------------------------------------

    def component_ids(self) -> tuple[str, ...]:
        return tuple(self._running)

    def __contains__(self, component_id: object) -> bool:
        return component_id in self._running

    def get(self, component_id: str) -> Component:
        """The component of that id.

        Raises:
            NotFound: It does not run here.
        """
        component = self._running.get(component_id)
        if component is None:
            raise NotFound(f"component {shown(component_id)} does not run on this host")
        return component

    def descriptions(self) -> tuple[ComponentDescription, ...]:
        return tuple(self._running[id_].describe() for id_ in sorted(self._running))

    def fault_of_link(self, link: Link) -> str | None:
        target = self._running.get(link.target)
        return target.fault_of_link(link) if target else None

    # --- checking, before an operation is accepted -----------------------------------------------------

    def check_scale(self, request: ScaleComponent) -> None:
        """Refuses at once what cannot come to anything.

        Raises:
            InvalidArgument: The reference, the limits or a setting is not valid.
            Conflict: Another reference runs here and `allow_update` was not given, or the id is a provider's.
        """
        if self._stopping:
            raise Conflict("this host is stopping and takes no more work")
        if request.count == 0:
            return
        artifacts.check_ref(request.component_ref)
        asked = Deployment.asked(request)
        asked.pool_limits()
        asked.settings.check()
        self._ids.check(request.component_id, "component")
        running = self._running.get(request.component_id)
        if running is not None:
            self._check_same_code(running, request)

    def check_update(self, request: UpdateComponent) -> None:
        """Refuses at once what cannot come to anything.

        Raises:
            InvalidArgument: The reference or a setting is not valid.
            NotFound: The component does not run here.
        """
        artifacts.check_ref(request.new_component_ref)
        self.get(request.component_id).deployment.updated(request).settings.check()

    def _check_same_code(self, running: Component, request: ScaleComponent) -> None:
        if running.deployment.ref != request.component_ref and not request.allow_update:
            raise Conflict(
                f"component {request.component_id} runs {shown(running.deployment.ref)} here: "
                "set allow_update to replace it, or use component.update"
            )

    # --- operations: each ends in an event -------------------------------------------------------------

    async def scale(self, request: ScaleComponent) -> None:
        """Starts, rescales, updates or stops a component; tells of it in an event, and raises nothing."""
        async with self._turn(request.component_id):
            running = self._running.get(request.component_id)
            asked = running.deployment.rescaled(request) if running else Deployment.asked(request)
            try:
                if request.count == 0:
                    await self._stop(request.component_id)
                elif running is None:
                    await self._start(asked, may_differ=request.allow_update)
                else:
                    self._check_same_code(running, request)
                    if running.deployment.ref != request.component_ref:
                        asked = replace(asked, ref=request.component_ref, updates=asked.updates + 1)
                    if not running.deployment.runs_like(asked):
                        await self._replace(running, asked)
                    elif asked != running.deployment:
                        await running.rescale(asked)
            except Exception as e:
                await self._tell(asked, e)
            else:
                await self._tell(asked)

    async def update(self, request: UpdateComponent) -> None:
        """Replaces a component's code; tells of it in an event, and raises nothing."""
        async with self._turn(request.component_id):
            running = self._running.get(request.component_id)
            if running is None:
                gone = Deployment(request.component_id, request.new_component_ref, 0)
                await self._tell(
                    gone, NotFound(f"component {request.component_id} does not run here any more")
                )
                return
            asked = running.deployment.updated(request)
            try:
                if not running.deployment.runs_like(asked):
                    await self._replace(running, asked)
            except Exception as e:
                await self._tell(asked, e)
            else:
                await self._tell(asked)

    async def _start(
        self, asked: Deployment, *, may_differ: bool, compiled: CompiledComponent | None = None
    ) -> None:
        """Starts a component; unless it `may_differ`, from the bytes that other hosts run under that id."""
        if self._stopping:
            raise Conflict("this host is stopping and takes no more work")
        with self._ids.reserved(asked.id, "component"):
            if compiled is None:
                source = await artifacts.load(asked.ref, self._parts.bus)
                compiled = await self._parts.engine.compile(source)
            if not may_differ:
                self._ids.check_code(asked.id, compiled.digest)
            self._ids.check(asked.id, "component")  # again: a provider may have come to another host
            component = Component(self._parts, asked, compiled)
            try:
                async with (
                    nullcontext()
                    if may_differ
                    else self._ids.first_of_its_code(asked.id, component.instance_id, compiled.digest)
                ):
                    await component.start()
            except BaseException:
                await component.close()
                raise
            self._running[asked.id] = component
        await self._changed()

    async def _replace(self, old: Component, asked: Deployment) -> None:
        """The new one first, then the old drains: no call finds nobody."""
        same_code = asked.ref == old.deployment.ref
        compiled = old.compiled if same_code else None
        await self._start(asked, may_differ=True, compiled=compiled)
        await old.stop(self._drain_ms)

    async def _stop(self, component_id: str) -> None:
        component = self._running.pop(component_id, None)
        if component is not None:
            await component.stop(self._drain_ms)
            await self._changed()

    async def _tell(self, asked: Deployment, error: Exception | None = None) -> None:
        data: dict[str, object] = {
            "component_id": asked.id,
            "host_id": self._parts.host_id,
            "image_ref": asked.ref,
            "max_instances": asked.max_instances,
            "annotations": dict(asked.annotations),
            **asked.settings.shown(),
        }
        if error is None:
            await self._events.publish("component_scaled", data)
            return
        if not isinstance(error, LathError):
            _log.error("scaling a component failed", component_id=asked.id, exc_info=error)
        await self._events.publish("component_scale_failed", {**data, "error": str(error)})

    @asynccontextmanager
    async def _turn(self, component_id: str) -> AsyncIterator[None]:
        """Operations on one component happen one after another, in the order in which they were asked."""
        lock = self._turns.setdefault(component_id, asyncio.Lock())
        async with lock:
            yield

    async def stop_all(self, grace_ms: int) -> None:
        """Drains all components; nothing starts any more.

        First all leave the bus, while calls that run may still reach the components beside them; then they
        stop.
        """
        self._stopping = True
        until = time.monotonic() + grace_ms / 1000
        stopping = list(self._running.values())
        await asyncio.gather(*(component.withdraw() for component in stopping))
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_ms / 1000):
                await asyncio.gather(*(component.leave_bus() for component in stopping))
        left_ms = max(0.0, (until - time.monotonic()) * 1000)
        self._running.clear()
        await asyncio.gather(*(component.stop(left_ms) for component in stopping))

    async def close(self) -> None:
        """Stops all at once, without waiting for what runs."""
        self._stopping = True
        closing = list(self._running.values())
        self._running.clear()
        await asyncio.gather(*(component.close() for component in closing))
