"""A call that goes on beside its caller: begun, polled once, and then driven to its end by somebody's task.

Most guests finish in that first poll, and then there need be no task at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from lath_host.engine.exports import ExportPlan
from lath_host.engine.linkage import CallContext

if TYPE_CHECKING:
    from lath_host.engine.guest import Guest
    from lath_host.engine.pool import InstancePool

_LIMIT_MS: Final = 7 * 86_400_000
"""A week: who drives such a call has time-outs of its own. `InstancePool.close` ends it all the same."""


@dataclass(eq=False, slots=True)
class BegunCall:
    """A call that has its instance. `drive` it unless it has finished, then `end` it; or `give_up`.

    Attributes:
        pool: Whose.
        guest: The instance.
        export: What is called.
        context: Given to every import that is made meanwhile.
        began: When it came, in nanoseconds of `perf_counter_ns`.
        started: When it got its instance.
        finished: Whether the guest has returned, or trapped.
        told: Whether the pool knows what came of it.
    """

    pool: InstancePool
    guest: Guest
    export: ExportPlan
    context: CallContext
    began: int
    started: int
    finished: bool
    told: bool = False

    async def drive(self) -> None:
        """Goes on until it has finished.

        Raises:
            Trap: An import failed and the guest has no way to be told.
            CallCancelled: The pool was closed meanwhile.
        """
        self.guest.cpu_ns = perf_counter_ns() - self.started
        try:
            await self.pool.bounds.within(self.began, _LIMIT_MS, self.guest.drive(self.context))
        except BaseException as error:
            self.give_up(error)
            raise
        self.finished = True

    def end(self) -> Any:
        """The result of a call that has finished. Raises what `Guest.finish` does."""
        try:
            result = self.guest.finish(self.export)
        except BaseException as error:
            self.give_up(error)
            raise
        self.told = True
        self.pool.succeeded(self.guest, self.began, self.started)
        return result

    def give_up(self, error: BaseException) -> None:
        """Throws the instance away, unless that, or `end`, has been done. Not while it is driven."""
        if not self.told:
            self.told = True
            self.pool.failed(self.guest, self.began, self.started, error)
