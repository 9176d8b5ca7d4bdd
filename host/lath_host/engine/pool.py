"""The instances of one component: warm ones, limits, and a bounded queue in front.

By default every call gets an instance that nobody has used; some are made ahead. With `reuse` instances
serve call after call, one at a time, up to `calls_max`, and are dropped after `idle_seconds` without one.
A permit of the admission is held from before an instance is taken until its store is gone (or idle again), so
`max_instances` bounds what exists, and it comes back on every path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

from lath.codec import ComponentHandle
from lath.errors import Draining, InvalidArgument, LathError
from lath.telemetry.metrics import measuring
from lath.telemetry.spans import sampled
from lath_host.engine import capi
from lath_host.engine.admission import Admission, Entrance
from lath_host.engine.bounds import Bounds
from lath_host.engine.engine import CompiledComponent, Engine
from lath_host.engine.explain import MemoryExceeded
from lath_host.engine.exports import ExportPlan, Exports
from lath_host.engine.guest import Guest
from lath_host.engine.guest_settings import GuestSettings
from lath_host.engine.handles import Given, Holdings, Home
from lath_host.engine.idle import IdleGuests
from lath_host.engine.limits import Limits, PoolStats
from lath_host.engine.linkage import CallContext, ImportHandler, Linkage
from lath_host.engine.pinned import PinnedCalls, PreparedCall
from lath_host.engine.pins import Pins
from lath_host.engine.spent import SpentGuests
from lath_host.engine.surroundings import Surroundings
from lath_host.engine.threads import Share
from lath_host.engine.usage import CallUsage, Usage, tell
from lath_host.engine.values import Arena
from lath_host.engine.wasi.environment import Environment
from lath_host.engine.wasi.output import Log


class InstancePool:
    """Runs one component. An async context manager.

    Args:
        engine: Where it runs.
        compiled: What to run.
        limits: What it may use.
        on_import: Answers every import that is not native WASI.
        name: Its name, for messages.
        log: Gets each line that a guest prints: (stream, line), on the loop. None: nobody does.
        usage: Where what calls use is summed up; None makes one.
        admission: Whose permits its calls take, where other pools share them; None makes one.
        instance_id: The instance of the component that handles of its resources are addressed to.
        holdings: Told of the handles of other components' resources that guests hold and drop.
        surroundings: What its guests are given, and whom they may reach; None: nothing and nobody.
        destructor_context: Makes what is given to every import that destructors call.

    Raises:
        InvalidArgument: The component has an import that cannot be carried.
    """

    def __init__(
        self,
        engine: Engine,
        compiled: CompiledComponent,
        limits: Limits,
        on_import: ImportHandler,
        *,
        name: str,
        log: Log | None = None,
        usage: Usage | None = None,
        admission: Admission | None = None,
        instance_id: str = "local",
        holdings: Holdings | None = None,
        surroundings: Surroundings | None = None,
        destructor_context: Callable[[], CallContext] = CallContext,
    ) -> None:
        self.name = name
        self.limits = limits
        self._calls_max = limits.calls_per_instance
        self.usage = usage or Usage()
        self._engine = engine
        self._compiled = compiled
        self._on_import = on_import
        self._surroundings = surroundings or Surroundings()
        self._metered = limits.fuel_max is not None
        wasm = engine.metered if self._metered else engine.wasm
        self._wasm_engine = capi.pointer_value(wasm.ptr())
        self._linkage = Linkage(self._wasm_engine, compiled, log)
        self._settings: GuestSettings | None = None
        self._exports = Exports(compiled, name)
        self._share = Share(name, limits.cpu_weight)
        self._kept = IdleGuests(engine.warm, limits.idle_seconds)
        self._idle = self._kept.guests
        self._spent = SpentGuests(self._give_back)
        self._admission = admission or Admission(name, limits.max_instances, limits.queue_max)
        self._entrance = Entrance(self._admission)
        self._home = Home(name, instance_id, limits.lease_seconds, holdings)
        self._pins = Pins(
            self._home, self._admission, drop=self._run_destructor, rest=self._rest, throw=self._throw,
            destructor_context=destructor_context,
        )  # fmt: skip
        self._bounds = Bounds(name)
        self._pinned = PinnedCalls(name, self._pins, self._bounds, self._account)
        self._refill: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> InstancePool:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def stats(self) -> PoolStats:
        entrance = self._entrance
        calls = self._admission.calls + self._pinned.calls
        failures = self._admission.failures + self._pinned.failures
        return PoolStats(entrance.held, entrance.queued, len(self._idle), calls, failures, len(self._pins))

    def has_room(self) -> bool:
        """Whether a call would run at once."""
        admission = self._admission
        return (
            admission.running + len(admission.waiting) < admission.max_instances
            and not self._entrance.draining
        )

    # -- the public calls ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Makes the first instance, so that what cannot run is told now. A call does this too.

        Raises:
            InvalidArgument: wasmtime refuses the component, or the host has too little memory for it; the
                message has the reason.
        """
        self._engine.warm.check(self.name, self.limits.memory_bytes_max)
        guest = Guest(await self._ready())
        deadline = asyncio.get_running_loop().time() + self.limits.timeout_ms / 1000
        try:
            await self._bounds.within(
                deadline, self.limits.timeout_ms, guest.instantiate(), " when it was started"
            )
        except LathError as error:
            guest.discard()
            raise InvalidArgument(f"{self.name} does not start: {error.message}") from error
        except BaseException:
            guest.discard()
            raise
        if not self._kept.keep(guest):
            guest.discard()
        self._warm_up()

    async def call(
        self,
        interface: str,
        function: str,
        params: list[Any],
        *,
        context: CallContext,
        timeout_ms: int | None = None,
        near: bytes = b"",
    ) -> Any:
        """Calls an exported function.

        Args:
            interface: The export's name, version included; empty for a function of the world itself.
            function: Its WIT name.
            params: Wire values.
            context: Given to every import that is made meanwhile.
            timeout_ms: For the whole call, waiting for an instance included; None: the limit's.
            near: The token of a handle that the caller holds: what is made now lives in the same instance, if
                it can. Empty: in any.

        Returns:
            The result as a wire value, None where there is none.

        Raises:
            NotFound: It exports no function of exactly that name, or a handle is not known here.
            InvalidArgument: The function cannot be called, or the parameters are not of its types; no
                instance was touched.
            Overloaded: The queue is full.
            Draining: The pool takes no more calls.
            Trap: The guest trapped.
            LimitExceeded: The guest went past its memory or fuel.
            DeadlineExceeded: The time is up.
            CallCancelled: The pool was closed meanwhile.
        """
        began = started = perf_counter_ns()
        export = self._exports.plans.get((interface, function)) or await self._prepare(interface, function)
        arena = Arena()
        data = export.lower_params(params, arena)
        limit_ms = timeout_ms or self.limits.timeout_ms
        if arena.named or (near and export.gives_handles):
            pin = self._pins.find(arena.named) if arena.named else self._pins.near(near)
            if pin is not None:
                call = PreparedCall(export, params, data, arena, context, limit_ms)
                return await self._pinned.call(pin, call)
        admission, entrance = self._admission, self._entrance
        if entrance.draining:
            raise Draining(f"{self.name} is stopping")
        deadline: float | None = None
        if self._idle and admission.running < admission.max_instances and not admission.waiting:
            entrance.take()
            guest = self._take_idle()
        else:
            deadline = asyncio.get_running_loop().time() + limit_ms / 1000
            guest = await self._acquire(deadline, limit_ms)
            started = perf_counter_ns()
        admission.calls += 1
        slow = self._metered
        try:
            if not guest.start(export, params, data, arena):
                slow = True
                guest.cpu_ns = perf_counter_ns() - started
                if deadline is None:
                    deadline = asyncio.get_running_loop().time() + limit_ms / 1000
                await self._bounds.within(deadline, limit_ms, guest.drive(context))
            result = guest.finish(export)
        except BaseException as error:
            admission.failures += 1
            self._account(guest, began, started, error)
            guest.discard(self._give_back)
            raise
        if slow or guest.host_calls or measuring() or sampled():
            self._account(guest, began, started, None)
        else:
            self.usage.quick_ns += perf_counter_ns() - began
        guest.served += 1
        if guest.handles.given:
            self._pins.settle(guest)
        elif (
            guest.served < self._calls_max
            and not entrance.draining
            and guest.budget_bytes
            and self._kept.seconds_max is None
        ):
            self._idle.append(guest)  # what `_rest` would do, without the call
            entrance.give_back()
        else:
            self._rest(guest)
        return result

    # -- handles of its resources ----------------------------------------------------------------------------

    def held(self) -> Iterator[ComponentHandle]:
        """The handles of other components' resources that its guests hold."""
        for guest in list(self._linkage.guests.values()):
            yield from guest.handles.of_components()

    def renew(self, tokens: Iterable[bytes]) -> None:
        """Somebody still holds the handles of these tokens."""
        self._pins.renew(tokens)

    def release(self, tokens: Iterable[bytes]) -> None:
        """Nobody holds the handles of these tokens any more: their destructors run, soon."""
        self._pins.release(tokens)

    async def retire(self) -> None:
        """Takes no more calls but those by handles, and returns once there are none any more."""
        self._entrance.shut()
        await self._pins.emptied()

    async def _run_destructor(self, guest: Guest, given: Given, context: CallContext) -> bool:
        component = (await self._ready()).component
        plan = self._exports.prepare_drop(component, given.handle.interface, given.handle.resource)
        if plan is None:
            return False
        arena, limit_ms, params = Arena(), self.limits.timeout_ms, [given.value]
        call = PreparedCall(plan, params, plan.lower_params(params, arena), arena, context, limit_ms)
        await self._pinned.run(guest, call, asyncio.get_running_loop().time() + limit_ms / 1000)
        return True

    def _rest(self, guest: Guest) -> None:
        """Keeps an instance for its next call, or throws it away."""
        if guest.served < self._calls_max and not self._entrance.draining and self._kept.keep(guest):
            self._entrance.give_back()
        else:
            self._spent.add(guest)

    def _throw(self, guest: Guest) -> None:
        guest.discard(self._give_back)

    async def scale(self, limits: Limits) -> None:
        """Changes the limits. What bounds one instance holds for those made from here on.

        Raises:
            InvalidArgument: `fuel_max` is set where it was not, or the reverse: start the component anew. Or
                the host has too little memory.
        """
        self._engine.warm.check(self.name, limits.memory_bytes_max)
        if (limits.fuel_max is not None) != self._metered:
            raise InvalidArgument("fuel_max cannot be added or removed while a component runs: start it anew")
        self.limits = limits
        self._calls_max = limits.calls_per_instance
        self._share.weight = limits.cpu_weight
        self._settings = None
        self._kept.clear()
        self._kept.seconds_max = limits.idle_seconds
        self._home = replace(self._home, lease_seconds=limits.lease_seconds)
        self._admission.scale(limits.max_instances, limits.queue_max)
        self._warm_up()

    def clear_idle(self) -> None:
        """Throws away the instances that wait for a call, and with them what they hold."""
        self._kept.clear()

    def shut(self) -> None:
        """Takes no more calls, and refuses those that wait. Those that run go on."""
        self._entrance.shut()
        self._pins.shut()
        self._kept.clear()

    async def drain(self) -> None:
        """Takes no more calls, refuses those that wait, and returns once those that run have ended."""
        self.shut()
        await self._entrance.quiet()

    async def close(self) -> None:
        """Ends everything. Calls that still run raise `CallCancelled`; `drain` first to let them end."""
        if self._closed:
            return
        self._bounds.stop()
        await self.drain()
        await self._pins.close()
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.wait([self._refill])
        self._kept.clear()
        await self._linkage.emptied()
        if self._closed:
            return
        self._closed = True
        self._exports.close()
        self._linkage.close()

    # -- permits and instances -------------------------------------------------------------------------------

    async def _acquire(self, deadline: float, limit_ms: int) -> Guest:
        """Takes a permit, in turn, and an instance."""
        admission = self._admission
        if admission.running < admission.max_instances and not admission.waiting:
            self._entrance.take()
        else:
            admission.check_queue()
            await self._bounds.within(
                deadline, limit_ms, self._entrance.wait_turn(), ", all of it in the queue"
            )
        if self._idle:
            return self._take_idle()
        guest: Guest | None = None
        try:
            guest = Guest(self._settings or await self._ready())
            if not guest.begin_instance():  # most finish in their first poll, and need no time-out then
                await self._bounds.within(deadline, limit_ms, guest.drive(None), " as its instance started")
            guest.end_instance()
        except BaseException:
            admission.failures += 1
            if guest is not None:
                guest.discard(self._give_back)
            else:
                self._give_back()
            raise
        return guest

    def _take_idle(self) -> Guest:
        # the most recently used is the warmest; of fresh ones the oldest goes first
        if self.limits.reuse:
            return self._idle.pop()
        guest = self._idle.popleft()
        self._kept.release(guest)
        return guest

    def _account(self, guest: Guest, began: int, started: int, error: BaseException | None) -> None:
        """Counts what a call has used that came at `began` and got its instance at `started`."""
        now = perf_counter_ns()
        cpu_ns, guest.cpu_ns = guest.cpu_ns or now - started, 0
        host_calls, guest.host_calls = guest.host_calls, {}
        fuel = guest.fuel_used() if self._metered else None
        memory_limited = isinstance(error, MemoryExceeded)
        self.usage.add(now - began, cpu_ns, fuel or 0, memory_limited, host_calls)
        if measuring() or sampled():
            tell(self.name, CallUsage(now - began, cpu_ns, fuel, memory_limited, host_calls))

    def _give_back(self) -> None:
        self._entrance.give_back()
        if not self.limits.reuse:
            self._warm_up()

    def _warm_up(self) -> None:
        """Has instances made ahead, when calls leave time for it."""
        if self._entrance.draining or self._refill is not None or len(self._idle) >= self._warm_target():
            return
        if not self._engine.warm.has_room(self.limits.memory_bytes_max):
            return
        self._refill = asyncio.get_running_loop().create_task(self._fill(), name=f"lath-warm-{self.name}")
        self._refill.add_done_callback(self._filled)

    def _warm_target(self) -> int:
        return 0 if self.limits.reuse else min(self.limits.warm_instances, self.limits.max_instances)

    async def _fill(self) -> None:
        while not self._entrance.draining and len(self._idle) < self._warm_target():
            settings = await self._ready()
            guest = Guest(settings)
            if not self._kept.reserve(guest):
                guest.discard()
                return
            try:
                if not guest.begin_instance():
                    await asyncio.wait_for(guest.drive(None), self.limits.timeout_ms / 1000)
                guest.end_instance()
            except (LathError, TimeoutError):
                guest.discard()
                return  # the next call makes its own instance, and tells its caller why it cannot
            except BaseException:
                guest.discard()
                raise
            if settings is not self._settings or not self._kept.keep(guest):
                guest.discard()
            await asyncio.sleep(0)

    def _filled(self, task: asyncio.Task[None]) -> None:
        self._refill = None

    # -- exports ---------------------------------------------------------------------------------------------

    async def _ready(self) -> GuestSettings:
        """What guests are made from, of the limits as they are now."""
        if self._settings is None:
            component = await self._compiled.prepared(metered=self._metered)
            limits, given = self.limits, self._surroundings
            environment = Environment(given.env, given.args) if self._linkage.has_wasi else None
            self._settings = GuestSettings(
                self._engine, self._wasm_engine, component, capi.pointer_value(component.ptr()),
                self._linkage, self._on_import, limits.memory_bytes_max, limits.fuel_max, self.usage,
                self._home, self._share, self._surroundings, environment,
            )  # fmt: skip
        return self._settings

    async def _prepare(self, interface: str, function: str) -> ExportPlan:
        self._exports.find(interface, function)  # refused before anything is compiled for it
        return self._exports.prepare((await self._ready()).component, interface, function)
