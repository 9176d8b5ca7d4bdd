"""One instance of a component, and how it runs: polled on the loop, in slices, until its call is finished.

A poll runs the guest until it finishes or waits. There is no waker, so why it waits is worked out afterwards:

- an import of its own is pending: the call's task answers it, then polls again, at once;
- the epoch has advanced since the poll began: the guest was cut off while computing, or the loop was put
  aside. It is polled again once others had their turn; cut off again, it goes on in a thread of the engine's
  pool (polls release the interpreter lock), a longer slice at a time, in turn with other busy guests;
- neither: it has yielded of its own accord (`thread.yield` of WASI 0.3; nothing native waits, see `wasi`):
  polled again once others had their turn.

Whatever goes wrong, the store is thrown away, never used again: `discard`. If a thread is in the middle of
a poll then, the store goes when the poll returns, which the epochs make soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from time import perf_counter_ns, thread_time_ns
from typing import TYPE_CHECKING, Any, Final

from lath.errors import Internal, InvalidArgument, LathError, LimitExceeded, Trap
from lath_host.engine import capi
from lath_host.engine.explain import Exited, explain, first_line
from lath_host.engine.exports import ExportPlan
from lath_host.engine.fuel import fuel_left, refuel, unmetered
from lath_host.engine.guest_settings import GuestSettings
from lath_host.engine.handles import GuestHandles
from lath_host.engine.import_plans import PendingImport
from lath_host.engine.linkage import CallContext
from lath_host.engine.places import ERROR, RESULT, RESULT_BYTE, Places
from lath_host.engine.sockets.guest_sockets import GuestSockets
from lath_host.engine.surroundings import Surroundings
from lath_host.engine.threads import Slice
from lath_host.engine.values import Arena, Kept
from lath_host.engine.wasi.output import Lines
from lath_host.engine.wasi.standard import Standard

if TYPE_CHECKING:
    from lath_host.engine.pins import Pin

INLINE_TICKS: Final = 2
"""The slice on the loop: one to two ticks. Two, so that a guest cut off has seen the epoch advance for
certain."""
OVERRUNS_MAX: Final = 1
"""Slices that a call may overrun on the loop, one after the other, before it counts as busy. One overrun says
little: where processes compete for the cores, the loop itself is put aside for longer than a slice, and a
quick call that then goes through a thread costs five times as much."""
THREAD_TICKS: Final = 5
"""The slice in a thread: handing over costs a twentieth of a tick, and cancelling waits for it."""
_START_FUEL: Final = (1 << 63) - 1
"""Instantiating is not metered: a call is."""
_UNLIMITED: Final = -1


class Guest:
    """An instance in a store of its own. One call at a time.

    Attributes:
        pending: The import that it waits for.
        failure: Why it cannot go on.
        handles: Those that it holds of others' resources, and those that others hold of its own.
        busy: Whether it computes for longer than a slice, and so is polled in a thread.
        cpu_ns: How long it computed for its call, in nanoseconds; the first poll of a call is its caller's to
            time.
        host_calls: Imports that its call has called, by interface.
        served: Calls that it has finished, where instances are reused.
        budget_bytes: Its part in the host's budget of warm instances, given back when it goes.
        rested_at: When it last went idle, in the loop's time; where idle instances are dropped.
        pin: What keeps it while others hold handles of its resources.
        standard: What it finds for this call in place of its component's; None: nothing (wasi.WasiGuest).
    """

    __slots__ = (
        "_arena", "_discarded", "_epochs", "_export_index", "_functions", "_future", "_on_gone",
        "_outputs", "_places", "_polled_at", "_polling", "_settings", "_slice_ends", "_sockets", "_store",
        "_suspected", "_tasks", "budget_bytes", "busy", "context", "cpu_ns", "failure", "handles",
        "host_calls", "pending", "pin", "rested_at", "served", "standard",
    )  # fmt: skip

    def __init__(self, settings: GuestSettings) -> None:
        self.pending: PendingImport | None = None
        self.failure: BaseException | None = None
        self.busy = False
        self.cpu_ns = 0
        self.host_calls: dict[str, int] = {}
        self.served = 0
        self.budget_bytes = 0
        self.rested_at = 0.0
        self.pin: Pin | None = None
        self.standard: Standard | None = None
        self._settings = settings
        self._epochs = settings.engine.epochs
        self._functions: dict[int, int] = {}
        """Addresses, by the index of the export."""
        self._future: int | None = None
        self._export_index = 0
        self._suspected = False
        self._sockets: GuestSockets | None = None
        self._arena: Arena | None = None
        self._polled_at = 0
        self._slice_ends = 0
        self._polling: Slice | None = None
        self._on_gone: Callable[[], None] | None = None
        self._discarded = False
        self._outputs: dict[str, Lines] = {}
        self._tasks: set[asyncio.Task[Any]] | None = None
        self._places = settings.spare_places.pop() if settings.spare_places else Places()
        self._store: int = capi.store_new(settings.wasm_engine, None, None)
        self.context: int = capi.store_context(self._store)
        self.handles = GuestHandles(self.context, settings.linkage, settings.home)
        settings.linkage.guests[self.context] = self
        memory_bytes_max = settings.memory_bytes_max
        capi.store_limiter(self._store, memory_bytes_max, _UNLIMITED, _UNLIMITED, _UNLIMITED, _UNLIMITED)
        capi.context_yield_on_epoch(self.context, INLINE_TICKS)
        if settings.environment is not None:
            settings.environment.give(self.context)
        if settings.fuel_max is not None:
            refuel(self.context, _START_FUEL)

    @property
    def memory_bytes_max(self) -> int:
        """Limit of each of its memories."""
        return self._settings.memory_bytes_max

    # -- life ----------------------------------------------------------------------------------------------

    async def instantiate(self) -> None:
        """Makes the instance.

        Raises:
            Trap, LimitExceeded: Its start function trapped, or it needs more memory than it may have.
        """
        if not self.begin_instance():
            await self.drive(None)
        self.end_instance()

    def begin_instance(self) -> bool:
        """Begins to make the instance; True when that has finished. Where it has not, `drive` it first."""
        settings = self._settings
        self._future = capi.linker_instantiate_async(
            settings.linkage.linker, self.context, settings.component_at,
            self._places.instance_at, self._places.error_at,
        )  # fmt: skip
        began = perf_counter_ns()
        finished = self._poll()
        self.cpu_ns = perf_counter_ns() - began
        return finished

    def end_instance(self) -> None:
        """Ends making the instance, and counts it. Raises what `instantiate` does."""
        self._end_call()
        self._settings.usage.made(self.cpu_ns)
        self.cpu_ns = 0
        self.host_calls.clear()

    def discard(self, on_gone: Callable[[], None] | None = None) -> None:
        """Throws the store away, with whatever runs in it, and then calls `on_gone`."""
        if self._discarded:
            return
        self._discarded = True
        self._on_gone = on_gone
        polling = self._polling
        if polling is None or polling.future.done() or self._settings.engine.threads.withdraw(polling):
            self._destroy()
        else:
            polling.future.add_done_callback(lambda _: self._destroy())

    def _destroy(self) -> None:
        if self._future is not None:
            capi.call_future_cancel(self._future)
            self._future = None
        self._pass_on(self._places)
        for lines in self._outputs.values():
            lines.end()
        if self._arena is not None:
            self._arena.forget()
            self._arena = None
        for task in self._tasks or ():
            task.cancel()
        self.handles.forget()
        if self._sockets is not None:
            self._sockets.close()
        capi.store_delete(self._store)
        self._settings.linkage.gone(self.context)
        if self.pending is not None:
            self.pending.abandon()
            self.pending = None
        if self.budget_bytes:
            self._settings.engine.warm.give_back(self.budget_bytes)
            self.budget_bytes = 0
        if self._on_gone is not None:
            self._on_gone()

    def _pass_on(self, places: Places) -> None:
        """Leaves the places to another guest, with nothing in them."""
        words = places.words
        if words[ERROR]:
            capi.take_error(words[ERROR])
            words[ERROR] = 0
        if words[RESULT]:
            capi.val_delete(places.result_at)
            words[RESULT] = 0
        self._settings.spare_places.append(places)

    # -- calls ---------------------------------------------------------------------------------------------

    def use(self, standard: Standard) -> None:
        """Has its next call find `standard`."""
        self.standard = standard
        standard.environment.give(self.context)

    def start(self, export: ExportPlan, params: list[Any], data: bytes, arena: Arena) -> bool:
        """Begins a call and polls it once; True when it has finished already.

        Args:
            export: What to call.
            params: The parameters, as wire values.
            data: The parameters, laid out, handles aside.
            arena: Keeps what `data` points to.
        """
        function = self._functions.get(export.index)
        if function is None:
            function = self._functions[export.index] = self._function(export)
        self._arena = arena
        self._export_index = export.index
        self.busy = self._suspected = export.index in self._settings.busy_exports
        if export.lowers_handles:
            arena.table = self.handles
            data = export.lower_params(params, arena)
        arena.append(data)
        if self._settings.fuel_max is not None:
            refuel(self.context, self._settings.fuel_max)
        places = self._places
        self._future = capi.func_call_async(
            function, self.context, data, export.params_count,
            places.result_at, export.lift_result is not None, places.error_at,
        )  # fmt: skip
        return False if self.busy else self._poll()

    def finish(self, export: ExportPlan) -> Any:
        """The result of a call that has finished.

        Raises:
            Trap: The guest trapped; `__cause__` is what its import raised, if that is why.
            LimitExceeded: It went past its memory or fuel.
        """
        self._end_call()
        if export.settle is not None:
            with unmetered(self.context, self._settings.fuel_max):
                finished = self.start(export.settle, [], b"", Arena())
                while not finished:  # it never waits, but may be cut off
                    finished = self._poll()
                self._end_call()
        if export.lift_result is None:
            return None
        places = self._places
        result = export.lift_result(places.words, RESULT_BYTE, self.handles)
        capi.val_delete(places.result_at)
        places.words[RESULT] = 0
        return result

    def _end_call(self) -> None:
        capi.call_future_delete(self._future)
        self._future = None
        arena, self._arena = self._arena, None
        if arena is not None and (arena.owned or arena.lent):
            arena.end()
        words = self._places.words
        if words[ERROR]:
            error = capi.take_error(words[ERROR])
            words[ERROR] = 0
            self._raise_failure()
            raise self._explain(error)
        if self.failure is not None:
            self._raise_failure()  # it came up while the guest went on in a thread

    async def drive(self, context: CallContext | None) -> None:
        """Polls a call until it has finished. To give it up, cancel this and `discard` the guest.

        Raises:
            Trap: An import failed and the guest has no way to be told.
        """
        overruns = 0
        while True:
            self._raise_failure()
            if self.pending is not None and not self.pending.answered:
                await self._answer(self.pending, context)
                overruns = 0
            elif not self.busy:
                overruns += self._epochs.now != self._polled_at
                if overruns > OVERRUNS_MAX:
                    overruns = 0
                    self.busy = True
                    self._settings.busy_exports.add(self._export_index)
                else:
                    await asyncio.sleep(0)
            if await self._poll_in_thread() if self.busy else self._poll_again():
                break
        if self._suspected and self.cpu_ns < self._epochs.tick_ns:
            self._settings.busy_exports.discard(self._export_index)

    def _raise_failure(self) -> None:
        """Raises what went wrong in a callback, where no exception may be raised."""
        failure = self.failure
        if failure is None:
            return
        if isinstance(failure, LimitExceeded | Exited) or not isinstance(failure, Exception):
            raise failure  # the guest's own limit or will, or an interrupt of the whole process
        raise Trap(f"an import failed: {first_line(str(failure))}") from failure

    def fuel_used(self) -> int | None:
        """Of the call that has ended; None where fuel is not metered."""
        fuel_max = self._settings.fuel_max
        return None if fuel_max is None else fuel_max - fuel_left(self.context)

    def _poll_again(self) -> bool:
        began = perf_counter_ns()
        done = self._poll()
        self.cpu_ns += perf_counter_ns() - began
        return done

    def _poll(self) -> bool:
        self._begin_slice(INLINE_TICKS)
        return capi.call_future_poll(self._future)  # type: ignore[no-any-return]

    def _begin_slice(self, ticks: int) -> None:
        epochs = self._epochs
        epochs.polls += 1
        if epochs.resting:
            epochs.wake()
        now = self._polled_at = epochs.now
        if self._slice_ends != now + ticks:  # a call that follows another in the same tick has its slice
            self._slice_ends = now + ticks
            capi.context_set_epoch_deadline(self.context, ticks)

    async def _poll_in_thread(self) -> bool:
        settings = self._settings
        self._polling = settings.engine.threads.submit(settings.share, self._slice)
        done = await asyncio.shield(self._polling.future)
        self._polling = None
        self.busy = self._epochs.now != self._polled_at
        return done

    def _slice(self) -> bool:
        self._begin_slice(THREAD_TICKS)
        began = thread_time_ns()
        until = self._polled_at + THREAD_TICKS
        done: bool = capi.call_future_poll(self._future)
        while not done and self.pending is None and self._epochs.now < until:  # it has only yielded
            done = capi.call_future_poll(self._future)
        self.cpu_ns += thread_time_ns() - began
        return done

    # -- imports -------------------------------------------------------------------------------------------

    async def _answer(self, pending: PendingImport, context: CallContext | None) -> None:
        if pending.answered:
            return
        plan = pending.plan
        try:
            answer = await self._ask(pending, context)
            try:
                pending.answer(answer)
            except InvalidArgument as error:  # what was asked has run
                raise Internal(f"the answer of {plan.shown_name} is malformed: {error.message}") from error
        except LathError as error:
            told = plan.failure(error)
            if told is None:
                raise Trap(f"import {plan.shown_name} failed: {error}") from error
            pending.answer(told)

    async def _ask(self, pending: PendingImport, context: CallContext | None) -> Any:
        plan = pending.plan
        if plan.own is not None:
            return await plan.own.given(self, pending.params)
        if context is None:
            raise Internal(f"{plan.shown_name} was called while the instance started, on behalf of no call")
        ask = partial(self._settings.on_import, plan.import_, context)
        try:
            return await (plan.forward(self, pending.params, ask) if plan.forward else ask(pending.params))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Internal(f"import {plan.shown_name}: what answers it was cancelled") from None
        except LathError:
            raise
        except Exception as error:
            raise Internal(f"import {plan.shown_name}: {type(error).__name__}: {error}") from error

    # -- rest ----------------------------------------------------------------------------------------------

    @property
    def surroundings(self) -> Surroundings:
        """What it is given, and whom it may reach (wasi.WasiGuest)."""
        return self._settings.surroundings

    @property
    def sockets(self) -> GuestSockets:
        """What it has of the network, from when it first asks for it (wasi.WasiGuest)."""
        if self._sockets is None:
            self._sockets = GuestSockets.over(self.surroundings.sockets)
        return self._sockets

    @property
    def kept(self) -> Kept:
        """What the host keeps for it outside its memory (wasi.WasiGuest)."""
        return self.handles.kept

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Starts a task that ends with the guest (wasi.WasiGuest)."""
        task = asyncio.get_running_loop().create_task(work)
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def spawn_lasting(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts a task that may end after the guest (wasi.WasiGuest)."""
        self._settings.linkage.own(asyncio.get_running_loop().create_task(work))

    def print(self, stream: str, data: bytes) -> None:
        """Takes what the guest writes (wasi.WasiGuest)."""
        lines = self._outputs.get(stream)
        if lines is None:
            lines = self._outputs[stream] = Lines(stream, self._settings.linkage.log)
        lines.write(data)

    def _explain(self, failure: capi.WasmtimeFailure) -> LathError:
        lines = self._outputs.get("stderr")
        if lines is not None:
            lines.end()
        settings = self._settings
        complaints = lines.recent if lines else ()
        return explain(failure, complaints, settings.memory_bytes_max, settings.fuel_max)

    def _function(self, export: ExportPlan) -> int:
        function = self._places.function_at(len(self._functions))
        if not capi.instance_get_func(self._places.instance_at, self.context, export.index, function):
            raise Internal("wasmtime does not find a function that the component exports")
        return function
