"""Calls that run in the instance that their handles live in, one at a time, and what drops a handle there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from lath.errors import NotFound
from lath_host.engine.bounds import Bounds
from lath_host.engine.exports import ExportPlan
from lath_host.engine.linkage import CallContext
from lath_host.engine.pins import Pin, Pins
from lath_host.engine.values import Arena

if TYPE_CHECKING:
    from lath_host.engine.guest import Guest

Account = Callable[["Guest", int, int, BaseException | None], None]
"""Counts what a call has used: (its guest, when it came, when it got the guest, how it failed), in ns."""


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call whose parameters have been checked.

    Attributes:
        export: What is called.
        params: The parameters, as wire values.
        data: The parameters, laid out, handles aside.
        arena: Keeps what `data` points to, and names the handles in it.
        context: Given to every import that is made meanwhile.
        limit_ms: For the whole call.
    """

    export: ExportPlan
    params: list[Any]
    data: bytes
    arena: Arena
    context: CallContext
    limit_ms: int


class PinnedCalls:
    """Runs calls in the pinned instances of one pool.

    Args:
        name: Of the component, for messages.
        pins: The instances.
        bounds: The pool's time-outs.
        account: Counts what each call has used.

    Attributes:
        calls: How many there were, ever.
        failures: Those among them that ended in an error.
    """

    def __init__(self, name: str, pins: Pins, bounds: Bounds, account: Account) -> None:
        self.calls = 0
        self.failures = 0
        self._name = name
        self._pins = pins
        self._bounds = bounds
        self._account = account

    async def call(self, pin: Pin, call: PreparedCall) -> Any:
        """Runs a call once it is its turn.

        Raises:
            NotFound: What ran before it has ended the instance, or a handle that it names.
            LathError: What the call came to.
        """
        began = perf_counter_ns()
        where = ", waiting for other calls of the instance that its handles live in"
        await self._bounds.within(began, call.limit_ms, _take(pin.turn), where)
        try:
            if call.arena.named:
                self._pins.find(call.arena.named)
            elif pin.ended:
                raise NotFound(f"the instance of {self._name} that was to make a handle is gone")
            self.calls += 1
            try:
                result = await self.run(pin.guest, call, began)
            except BaseException:
                self.failures += 1
                self._pins.end(pin)
                raise
            pin.guest.served += 1
            self._pins.settle(pin.guest)
            return result
        finally:
            pin.turn.release()

    async def run(self, guest: Guest, call: PreparedCall, began: int) -> Any:
        """Runs a call, whose time runs since `began`, in an instance whose turn it is.

        Where it fails, the instance is of no more use.
        """
        started = perf_counter_ns()
        try:
            if not guest.start(call.export, call.params, call.data, call.arena):
                guest.cpu_ns = perf_counter_ns() - started
                await self._bounds.within(began, call.limit_ms, guest.drive(call.context))
            result = guest.finish(call.export)
        except BaseException as error:
            self._account(guest, started, started, error)
            raise
        self._account(guest, started, started, None)
        return result


async def _take(turn: asyncio.Lock) -> None:
    await turn.acquire()
