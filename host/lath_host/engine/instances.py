"""The instances of one pool: taken for a call together with a permit, kept between calls, and made ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from lath.errors import Draining, LathError
from lath_host.engine.admission import Admission, Entrance
from lath_host.engine.bounds import Bounds
from lath_host.engine.budget import WarmBudget
from lath_host.engine.guest import Guest
from lath_host.engine.guest_settings import GuestSettings
from lath_host.engine.idle import IdleGuests
from lath_host.engine.limits import Limits
from lath_host.engine.spent import SpentGuests


class Instances:
    """Where a pool's calls get their instances.

    Args:
        name: Of the component, for messages.
        budget: The host's, for instances that wait.
        limits: What they may use.
        admission: Whose permits they are taken with.
        bounds: The pool's time-outs.
        ready: Gives what they are made from, as `settings` from then on.

    Attributes:
        settings: What they are made from; None: it is to be made, by the limits as they are now.
        entrance: Where permits are taken.
        idle: Those that wait for a call.
        refill: What makes the next one ahead: soon, or a task where that takes longer than a poll. None:
            nothing does now.
    """

    def __init__(
        self,
        name: str,
        budget: WarmBudget,
        limits: Limits,
        admission: Admission,
        bounds: Bounds,
        ready: Callable[[], Awaitable[GuestSettings]],
    ) -> None:
        self.settings: GuestSettings | None = None
        self.entrance = Entrance(admission)
        self.refill: asyncio.Handle | asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._budget = budget
        self._limits = limits
        self._calls_max = limits.calls_per_instance
        self._warm_target = _warm_target(limits)
        self._admission = admission
        self._bounds = bounds
        self._ready = ready
        self._kept = IdleGuests(budget, limits.idle_seconds)
        self.idle = self._kept.guests
        self._spent = SpentGuests(self._give_back)

    # -- for a call ------------------------------------------------------------------------------------------

    def take_at_once(self) -> Guest | None:
        """Takes a permit and an instance that waits, where there are both.

        Raises:
            Draining: The pool takes no more calls.
        """
        admission, entrance = self._admission, self.entrance
        if entrance.draining:
            raise Draining(f"{self._name} is stopping")
        if self.idle and admission.running < admission.max_instances and not admission.waiting:
            entrance.take()
            return self._take_idle()
        return None

    async def acquire(self, began: int, limit_ms: int) -> Guest:
        """Takes a permit, in turn, and an instance, which is made where none waits.

        Args:
            began: When the call came, in nanoseconds of `perf_counter_ns`.
            limit_ms: How long it may take.

        Raises:
            LathError: As `InstancePool.call` does.
        """
        admission = self._admission
        if admission.running < admission.max_instances and not admission.waiting:
            self.entrance.take()
        else:
            admission.check_queue()
            await self._bounds.within(began, limit_ms, self.entrance.wait_turn(), ", all of it in the queue")
        if self.idle:
            return self._take_idle()
        guest: Guest | None = None
        try:
            guest = Guest(self.settings or await self._ready())
            if not guest.begin_instance():  # most finish in their first poll, and need no time-out then
                await self._bounds.within(began, limit_ms, guest.drive(None), " as its instance started")
            guest.end_instance()
        except BaseException:
            admission.failures += 1
            if guest is not None:
                guest.discard(self._give_back)
            else:
                self._give_back()
            raise
        return guest

    def rest(self, guest: Guest) -> None:
        """Keeps an instance for its next call, or throws it away soon; its permit goes back."""
        if guest.served >= self._calls_max or self.entrance.draining:
            self._spent.add(guest)
        elif guest.budget_bytes and self._kept.seconds_max is None:
            self.idle.append(guest)  # what `keep` would do, without the call
            self.entrance.give_back()
        elif self._kept.keep(guest):
            self.entrance.give_back()
        else:
            self._spent.add(guest)

    def throw(self, guest: Guest) -> None:
        """Throws an instance away, now; its permit goes back."""
        guest.discard(self._give_back)

    # -- between calls ---------------------------------------------------------------------------------------

    def keep(self, guest: Guest) -> None:
        """Keeps an instance that no call has taken, if there is room for it."""
        if not self._kept.keep(guest):
            guest.discard()
        self.warm_up()

    def scale(self, limits: Limits) -> None:
        """Changes the limits: those that wait go, and what is made from now on is made by the new ones."""
        self._limits = limits
        self._calls_max = limits.calls_per_instance
        self._warm_target = _warm_target(limits)
        self.settings = None
        self._kept.clear()
        self._kept.seconds_max = limits.idle_seconds

    def clear(self) -> None:
        """Throws those away that wait for a call."""
        self._kept.clear()

    async def stop(self) -> None:
        """Makes no more ahead, and throws those away that wait."""
        refill = self.refill
        if refill is not None:
            refill.cancel()
        if isinstance(refill, asyncio.Task):
            await asyncio.wait([refill])
        self._kept.clear()

    def warm_up(self) -> None:
        """Has instances made ahead, one a turn of the loop: calls come in between."""
        if self.refill is None and len(self.idle) < self._warm_target:
            self.refill = self._loop.call_soon(self._make_one)

    def _make_one(self) -> None:
        """Makes one ahead, unless there are enough by now or it is not known what from."""
        self.refill = None
        settings = self.settings
        if settings is None or self.entrance.draining or len(self.idle) >= self._warm_target:
            return
        if not self._budget.has_room(settings.memory_bytes_max):
            return
        guest = Guest(settings)
        self._kept.reserve(guest)
        if guest.begin_instance():
            self._made(guest, settings)
            return
        self.refill = self._loop.create_task(self._go_on(guest), name=f"lath-warm-{self._name}")
        self.refill.add_done_callback(partial(self._ended, guest, settings))

    async def _go_on(self, guest: Guest) -> None:
        await asyncio.wait_for(guest.drive(None), self._limits.timeout_ms / 1000)

    def _ended(self, guest: Guest, settings: GuestSettings, task: asyncio.Task[None]) -> None:
        """The task has made it, or could not."""
        self.refill = None
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            guest.discard()
        else:
            self._made(guest, settings)
        if error is not None and not isinstance(error, LathError | TimeoutError):
            raise error

    def _made(self, guest: Guest, settings: GuestSettings) -> None:
        """Keeps what has been made ahead, and goes on to the next."""
        try:
            guest.end_instance()
        except LathError:
            guest.discard()
            return  # the next call makes its own instance, and tells its caller why it cannot
        if settings is not self.settings or self.entrance.draining or not self._kept.keep(guest):
            guest.discard()
        self.warm_up()

    def _take_idle(self) -> Guest:
        # the most recently used is the warmest; of fresh ones the oldest goes first
        if self._limits.reuse:
            return self.idle.pop()
        guest = self.idle.popleft()
        self._kept.release(guest)
        return guest

    def _give_back(self) -> None:
        self.entrance.give_back()
        self.warm_up()


def _warm_target(limits: Limits) -> int:
    """How many are to be made ahead."""
    return 0 if limits.reuse else min(limits.warm_instances, limits.max_instances)
