"""The instances of one component: warm ones, limits, and a bounded queue in front.

By default every call gets an instance that nobody has used; some are made ahead. With `reuse` instances
serve call after call, one at a time, up to `calls_max`, and are dropped after `idle_seconds` without one.
A permit of the admission is held from before an instance is taken until its store is gone (or idle again), so
`max_instances` bounds what exists, and it comes back on every path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

from lath.codec import ComponentHandle
from lath.errors import InvalidArgument, LathError
from lath.telemetry.spans import sampled
from lath_host.engine import capi
from lath_host.engine.admission import Admission
from lath_host.engine.begun import BegunCall
from lath_host.engine.bounds import Bounds
from lath_host.engine.engine import CompiledComponent, Engine
from lath_host.engine.explain import MemoryExceeded, ended_well
from lath_host.engine.exports import ExportPlan, Exports
from lath_host.engine.guest import Guest
from lath_host.engine.guest_settings import GuestSettings
from lath_host.engine.handles import Given, Holdings, Home
from lath_host.engine.instances import Instances
from lath_host.engine.limits import Limits, PoolStats
from lath_host.engine.linkage import CallContext, ImportHandler, Linkage
from lath_host.engine.pinned import PinnedCalls, PreparedCall
from lath_host.engine.pins import Pins
from lath_host.engine.surroundings import Surroundings
from lath_host.engine.threads import Share
from lath_host.engine.usage import CallUsage, Usage, tell
from lath_host.engine.values import Arena
from lath_host.engine.wasi.environment import Environment
from lath_host.engine.wasi.output import Log
from lath_host.engine.wasi.standard import Standard


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

    Attributes:
        name: As above.
        limits: As they are now.
        usage: As above.
        bounds: The time-outs of its calls.

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
        self.usage = usage or Usage()
        self._engine = engine
        self._compiled = compiled
        self._on_import = on_import
        self._surroundings = surroundings or Surroundings()
        self._metered = limits.fuel_max is not None
        self._wasm_engine = capi.pointer_value(compiled.wasm(metered=self._metered).ptr())
        self._linkage = Linkage(self._wasm_engine, compiled, log)
        self._exports = Exports(compiled, name)
        self._share = Share(name, limits.cpu_weight)
        self.bounds = Bounds(name)
        self._admission = admission or Admission(name, limits.max_instances, limits.queue_max)
        self._instances = Instances(name, engine.warm, limits, self._admission, self.bounds, self._ready)
        self._entrance = self._instances.entrance
        self._home = Home(name, instance_id, limits.lease_seconds, holdings)
        self._pins = Pins(
            self._home, self._admission, drop=self._run_destructor, rest=self._instances.rest,
            throw=self._instances.throw, destructor_context=destructor_context,
        )  # fmt: skip
        self._pinned = PinnedCalls(name, self._pins, self.bounds, self._account)
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
        return PoolStats(
            entrance.held, entrance.queued, len(self._instances.idle), calls, failures, len(self._pins)
        )

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
        began = perf_counter_ns()
        try:
            await self.bounds.within(
                began, self.limits.timeout_ms, guest.instantiate(), " when it was started"
            )
        except LathError as error:
            guest.discard()
            raise InvalidArgument(f"{self.name} does not start: {error.message}") from error
        except BaseException:
            guest.discard()
            raise
        self._instances.keep(guest)

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
        guest = self._instances.take_at_once()
        if guest is None:
            guest = await self._instances.acquire(began, limit_ms)
            started = perf_counter_ns()
        self._admission.calls += 1
        try:
            if not guest.start(export, params, data, arena):
                guest.cpu_ns = perf_counter_ns() - started
                await self.bounds.within(began, limit_ms, guest.drive(context))
            result = guest.finish(export)
        except BaseException as error:
            self.failed(guest, began, started, error)
            raise
        self.succeeded(guest, began, started)
        return result

    async def begin(
        self,
        interface: str,
        function: str,
        params: list[Any],
        *,
        context: CallContext,
        timeout_ms: int,
        standard: Standard | None = None,
    ) -> BegunCall:
        """Begins a call that is to go on beside its caller, and returns after its first poll.

        Args:
            interface: As for `call`.
            function: As for `call`.
            params: As for `call`; no handle of the component's own is among them.
            context: As for `call`.
            timeout_ms: For the wait for an instance. What comes then has no limit but its caller's.
            standard: What the guest finds for this call; only for instances that serve one call each.

        Raises:
            LathError: As `call` does; of what fails in the guest, the call itself tells.
        """
        began = started = perf_counter_ns()
        export = self._exports.plans.get((interface, function)) or await self._prepare(interface, function)
        arena = Arena()
        # handles are laid out in an instance only, and so they need not be here as well
        data = b"" if export.lowers_handles else export.lower_params(params, arena)
        guest = self._instances.take_at_once()
        if guest is None:
            guest = await self._instances.acquire(began, timeout_ms)
            started = perf_counter_ns()
        self._admission.calls += 1
        try:
            if standard is not None:
                guest.use(standard)
            finished = guest.start(export, params, data, arena)
        except BaseException as error:
            self.failed(guest, began, started, error)
            raise
        return BegunCall(self, guest, export, context, began, started, finished)

    def failed(self, guest: Guest, began: int, started: int, error: BaseException) -> None:
        """A call has failed, and its instance is of no more use."""
        self._admission.failures += guest.standard is None or not ended_well(error)
        self._account(guest, began, started, error)
        self._instances.throw(guest)

    def left_undone(self) -> None:
        """A call has returned, and has not given its caller what it was for."""
        self._admission.failures += 1

    def succeeded(self, guest: Guest, began: int, started: int) -> None:
        """A call has its result."""
        if guest.cpu_ns or self._metered or sampled():
            self._account(guest, began, started, None)
        else:  # it has finished in its first poll: the same, in fewer steps
            now, usage = perf_counter_ns(), self.usage
            usage.wall_ns += now - began
            usage.cpu_ns += now - started
            if guest.host_calls:
                usage.called(guest.host_calls)
                guest.host_calls = {}
        guest.served += 1
        if guest.handles.given:
            self._pins.settle(guest)
        else:
            self._instances.rest(guest)

    def _account(self, guest: Guest, began: int, started: int, error: BaseException | None) -> None:
        """Counts what a call has used that came at `began` and got its instance at `started`."""
        now = perf_counter_ns()
        cpu_ns, guest.cpu_ns = guest.cpu_ns or now - started, 0
        host_calls, guest.host_calls = guest.host_calls, {}
        fuel = guest.fuel_used() if self._metered else None
        memory_limited = isinstance(error, MemoryExceeded)
        self.usage.add(now - began, cpu_ns, fuel or 0, memory_limited, host_calls)
        if sampled():
            tell(CallUsage(now - began, cpu_ns, fuel, memory_limited, host_calls))

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
        await self._pinned.run(guest, call, perf_counter_ns())
        return True

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
        self._share.weight = limits.cpu_weight
        self._home = replace(self._home, lease_seconds=limits.lease_seconds)
        self._admission.scale(limits.max_instances, limits.queue_max)
        self._instances.scale(limits)
        await self._ready()
        self._instances.warm_up()

    def clear_idle(self) -> None:
        """Throws away the instances that wait for a call, and with them what they hold."""
        self._instances.clear()

    def shut(self) -> None:
        """Takes no more calls, and refuses those that wait. Those that run go on."""
        self._entrance.shut()
        self._pins.shut()
        self._instances.clear()

    async def drain(self) -> None:
        """Takes no more calls, refuses those that wait, and returns once those that run have ended."""
        self.shut()
        await self._entrance.quiet()

    async def close(self) -> None:
        """Ends everything. Calls that still run raise `CallCancelled`; `drain` first to let them end."""
        if self._closed:
            return
        self.bounds.stop()
        await self.drain()
        await self._pins.close()
        await self._instances.stop()
        await self._linkage.emptied()
        if self._closed:
            return
        self._closed = True
        self._exports.close()
        self._linkage.close()

    # -- exports ---------------------------------------------------------------------------------------------

    async def _ready(self) -> GuestSettings:
        """What guests are made from, of the limits as they are now."""
        settings = self._instances.settings
        if settings is None:
            component = await self._compiled.prepared(metered=self._metered)
            limits, given = self.limits, self._surroundings
            environment = Environment(given.env, given.args) if self._linkage.has_wasi else None
            settings = self._instances.settings = GuestSettings(
                self._engine, self._wasm_engine, component, capi.pointer_value(component.ptr()),
                self._linkage, self._on_import, limits.memory_bytes_max, limits.fuel_max, self.usage,
                self._home, self._share, self._surroundings, environment,
            )  # fmt: skip
        return settings

    async def _prepare(self, interface: str, function: str) -> ExportPlan:
        self._exports.find(interface, function)  # refused before anything is compiled for it
        return self._exports.prepare((await self._ready()).component, interface, function)
