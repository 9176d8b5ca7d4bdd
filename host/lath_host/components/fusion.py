"""Fusion: each component's fused way of running, kept current as links and components come and go.

Unfused, a component can always run. Fused, it may run while its plan holds: from the moment that this host
knows of a change by which it does not, in the callback that tells of the change, no call enters it any more.
Those that run may finish; the pool that they run in drains in a task of its own, which ends with the
component.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextvars import Context
from typing import Any, Protocol

from lath.errors import Internal, LathError
from lath.names import DEFAULT_LINK, InterfaceName
from lath.telemetry import get_logger
from lath_host.components.fusion_plan import Member, Plan, plan
from lath_host.components.imports import Imports
from lath_host.components.offered import WORLD_LEVEL
from lath_host.components.routes import Routes
from lath_host.engine.engine import CompiledComponent, Engine
from lath_host.engine.linkage import CallContext, Import, ImportHandler
from lath_host.engine.pool import InstancePool

_log = get_logger(__name__)


class FusedWay:
    """One component's fused way of running.

    Args:
        name: Of the component.
        engine: Fuses and compiles.
        make_pool: Makes a pool of other code than the component's own, with its limits and its admission.

    Attributes:
        pool: What its calls may enter now; None while there is nothing.
        calls: Those that have entered one, ever.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        make_pool: Callable[[CompiledComponent, ImportHandler], InstancePool],
    ) -> None:
        self.pool: InstancePool | None = None
        self.calls = 0
        self._name = name
        self._engine = engine
        self._make_pool = make_pool
        self._plan: Plan | None = None
        self._with: tuple[str, ...] = ()
        self._refused: dict[str, str] = {}
        self._building: asyncio.Task[None] | None = None
        self._ending: dict[asyncio.Task[None], InstancePool | None] = {}

    @property
    def fused(self) -> tuple[str, ...]:
        """The components that its calls run fused with, now."""
        return self._with if self.pool is not None else ()

    @property
    def unfused(self) -> Mapping[str, str]:
        """Why not, by component, where a link leads to one beside it."""
        return {**(self._plan.unfused if self._plan else {}), **self._refused}

    def follow(self, plan: Plan, imports: Mapping[str, Imports]) -> None:
        """Has the component run by `plan`, once that is compiled; by another no more from now on.

        Args:
            plan: What it is to be fused with.
            imports: Of each of the plan's parts.
        """
        if plan == self._plan:
            self._plan = plan  # its reasons may be others
            return
        self.withdraw()
        self._plan = plan
        if plan.joins:
            # a context of its own: it is no part of the trace in which somebody placed a component
            self._building = asyncio.get_running_loop().create_task(
                self._build(plan, imports), name=f"fuse {self._name}", context=Context()
            )

    def withdraw(self) -> None:
        """Lets no call enter any more. Those in line go on unfused, those that run finish."""
        self._plan = None
        self._refused = {}
        building, self._building = self._building, None
        if building is not None and not building.done():
            building.cancel()
            self._own(building, None)
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.shut()
            ending = asyncio.get_running_loop().create_task(
                _end(pool), name=f"unfuse {self._name}", context=Context()
            )
            self._own(ending, pool)

    async def drained(self) -> None:
        """Returns once no call runs fused. Withdraw it first."""
        if self._ending:
            await asyncio.wait(list(self._ending))

    async def close(self) -> None:
        """Ends it at once; calls that still run raise `CallCancelled`."""
        self.withdraw()
        ending = dict(self._ending)
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        for pool in ending.values():
            if pool is not None:
                await pool.close()

    def _own(self, task: asyncio.Task[None], pool: InstancePool | None) -> None:
        self._ending[task] = pool
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            _log.error(
                "a fused component did not end well", component_id=self._name, exc_info=task.exception()
            )

    async def _build(self, plan: Plan, imports: Mapping[str, Imports]) -> None:
        callees = {member.id for member in plan.parts[1:]}
        try:
            compiled, fitted = await self._engine.fuse(
                {member.id: member.compiled for member in plan.parts}, plan.joins
            )
            self._refused = {join.callee: reason for join, reason in fitted.refused}
            if compiled is None or fitted.fused is None:
                return
            parts = {member.id: (member.compiled, imports[member.id]) for member in plan.parts}
            pool = self._make_pool(compiled, FusedImports(fitted.fused.imports, parts))
            try:
                await pool.start()
            except BaseException:
                await pool.close()
                raise
        except LathError as error:
            self._refused = dict.fromkeys(callees, str(error))
        except Exception as error:
            _log.error("fusing failed", component_id=self._name, exc_info=error)
            self._refused = dict.fromkeys(callees, f"fusing failed: {error}")
        else:
            joined = {join.callee for join in fitted.joins}
            self._with = tuple(member.id for member in plan.parts if member.id in joined)
            self.pool = pool
            _log.info("component runs fused", component_id=self._name, with_components=self._with)


class FusedImports:
    """The imports of a fused component: each is answered as the part's that it belongs to.

    Args:
        owners: By import of the fused component: the part, and what the import is called there.
        parts: By name: its code, and what answers its imports.
    """

    def __init__(
        self,
        owners: Mapping[str, tuple[str, str]],
        parts: Mapping[str, tuple[CompiledComponent, Imports]],
    ) -> None:
        self._owners = owners
        self._parts = parts
        self._known: dict[tuple[str, str], tuple[Imports, Import]] = {}

    def __call__(self, wanted: Import, context: CallContext, params: list[Any]) -> Awaitable[Any]:
        """Runs one import of a guest as `Imports` does, from the part's own links and config."""
        known = self._known.get((wanted.name, wanted.function)) or self._learn(wanted)
        imports, own = known
        return imports(own, context, params)

    def _learn(self, wanted: Import) -> tuple[Imports, Import]:
        # a function of the world itself is an import of its own, of no name but the function's
        owner = self._owners.get(wanted.name or wanted.function)
        if owner is None:
            raise Internal(
                f"import {wanted.name} {wanted.function} belongs to no part of the fused component"
            )
        part, theirs = owner
        name, function = (theirs, wanted.function) if wanted.name else (WORLD_LEVEL, theirs)
        compiled, imports = self._parts[part]
        interface = compiled.world.imports[name]
        own = Import(
            name, interface, function, interface.functions[function], interface.label or DEFAULT_LINK
        )
        self._known[wanted.name, wanted.function] = imports, own
        return imports, own


class Fusable(Protocol):
    """A component, as far as fusion goes."""

    @property
    def id(self) -> str: ...
    @property
    def imports(self) -> Imports: ...
    @property
    def fused_way(self) -> FusedWay: ...
    def member(self) -> Member:
        """What plans are made from, as it is now."""


class Fusion:
    """Keeps the fused ways of all components of a host current.

    Args:
        routes: The links; it is followed.
    """

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._components: dict[str, Fusable] = {}
        self._members: dict[str, Member] = {}
        self._plans: dict[str, Plan] = {}
        routes.follow(self)

    # --- what happens to components ----------------------------------------------------------------------

    def joined(self, component: Fusable) -> None:
        """A component takes calls from here on, in the place of one of the same id."""
        before = self._components.get(component.id)
        if before is not None:
            before.fused_way.withdraw()
        self._components[component.id] = component
        self.changed(component)

    def changed(self, component: Fusable) -> None:
        """A component's limits are others."""
        if self._components.get(component.id) is component:
            self._members[component.id] = component.member()
            self._plan_again({component.id})

    def left(self, component: Fusable) -> None:
        """A component takes no more calls: one that has taken its place is left alone."""
        component.fused_way.withdraw()
        if self._components.get(component.id) is component:
            del self._components[component.id], self._members[component.id]
            self._plans.pop(component.id, None)
            self._plan_again({component.id})

    # --- what happens to links (routes.RouteFollower) ----------------------------------------------------

    def routes_changed(self, sources: Collection[str]) -> None:
        self._plan_again(sources)

    def routes_purged(self, sources: Collection[str]) -> None:
        for component in self._affected(sources):
            component.fused_way.withdraw()
        self._plan_again(sources)

    # --- plans -------------------------------------------------------------------------------------------

    def _affected(self, ids: Collection[str]) -> Iterable[Fusable]:
        """The components whose plans follow from links, or from the presence, of one of `ids`."""
        return [
            component
            for id_, component in self._components.items()
            if id_ not in self._plans or not self._plans[id_].looked_at.isdisjoint(ids)
        ]

    def _plan_again(self, ids: Collection[str]) -> None:
        for component in self._affected(ids):
            try:
                made = plan(self._members[component.id], self._members, self._target_of)
            except Exception as error:
                # the safe side for this one, and no reason to leave the others as they are
                component.fused_way.withdraw()
                _log.error("a fusion cannot be planned", component_id=component.id, exc_info=error)
                continue
            self._plans[component.id] = made
            imports = {member.id: self._components[member.id].imports for member in made.parts}
            component.fused_way.follow(made, imports)

    def _target_of(self, source: str, interface: InterfaceName, link_name: str) -> str | None:
        link = self._routes.active(
            source, interface.namespace, interface.package, link_name, interface.interface
        )
        return link.target if link is not None else None


async def _end(pool: InstancePool) -> None:
    await pool.drain()
    await pool.close()
