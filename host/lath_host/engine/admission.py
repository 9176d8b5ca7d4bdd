"""Who may run: so many calls at once, so many in line behind them, in the order in which they came.

One admission bounds all the ways in which a component runs. Each pool of it has an entrance of its own,
through which its calls take their permits and give them back; what is given back goes to the call that has
waited longest, whichever entrance it stands at.
"""

from __future__ import annotations

import asyncio
from collections import deque

from lath.errors import Draining, Overloaded


class Admission:
    """The permits of one component.

    Args:
        name: Of the component, for messages.
        max_instances: Calls that run at once.
        queue_max: Calls that may wait for one of those to end; more are refused at once.

    Attributes:
        running: Permits that are out. Pools read it and `waiting` in the path of every call.
        max_instances: As it is now.
        pinned: Those among `running` that stay out until handles are dropped or expire.
        waiting: The calls in line, and where each stands.
        calls: Those that got an instance, ever. Pools count them.
        failures: Those among them that ended in an error.
    """

    __slots__ = (
        "_queue_max", "calls", "failures", "max_instances", "name", "pinned", "running", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, max_instances: int, queue_max: int) -> None:
        self.name = name
        self.max_instances = max_instances
        self.running = self.pinned = self.calls = self.failures = 0
        self.waiting: deque[tuple[asyncio.Future[None], Entrance]] = deque()
        self._queue_max = queue_max

    def scale(self, max_instances: int, queue_max: int) -> None:
        """Changes the bounds: what runs goes on, and whoever has room now is let in."""
        self.max_instances = max_instances
        self._queue_max = queue_max
        self.grant()

    def grant(self) -> None:
        """Gives the permits that there are to those who wait."""
        while self.waiting and self.running < self.max_instances:
            turn, entrance = self.waiting.popleft()
            if not turn.done():
                entrance.take()
                turn.set_result(None)

    def check_queue(self) -> None:
        """Refuses a call that would have to wait where too many do.

        Raises:
            Overloaded: The queue is full, or no call that ends would make room.
        """
        if self.pinned >= self.max_instances:
            raise Overloaded(
                f"{self.name} has no room: all {self.pinned} instances (max_instances) are pinned by handles "
                "of its resources that callers hold; each is free once they are dropped or expire"
            )
        if len(self.waiting) >= self._queue_max:
            raise Overloaded(
                f"{self.name} has no room: {self.running} calls run (max_instances) "
                f"and {len(self.waiting)} wait (queue_max)"
            )


class Entrance:
    """Where one pool's calls are admitted.

    Args:
        admission: Whose permits they take.

    Attributes:
        admission: The same.
        held: Permits that calls of this pool hold.
        draining: Whether it lets nobody in any more.
    """

    __slots__ = ("_quiet", "admission", "draining", "held")

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.held = 0
        self.draining = False
        self._quiet = asyncio.Event()

    @property
    def queued(self) -> int:
        """Calls in line here."""
        return sum(entrance is self for _, entrance in self.admission.waiting)

    def take(self) -> None:
        """Takes a permit. There must be one, and nobody in line."""
        self.held += 1
        self.admission.running += 1

    def give_back(self) -> None:
        """Gives a permit back, to the call that has waited longest."""
        self.held -= 1
        admission = self.admission
        admission.running -= 1
        if admission.waiting:
            admission.grant()
        if self.draining and self.held == 0:
            self._quiet.set()

    async def wait_turn(self) -> None:
        """Stands in line and returns with a permit. Cancelled, it leaves the line without one.

        Raises:
            Draining: The entrance was closed meanwhile.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (turn, self)
        self.admission.waiting.append(place)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back()  # the permit came in the same moment
            elif place in self.admission.waiting:
                self.admission.waiting.remove(place)
            raise

    def shut(self) -> None:
        """Lets nobody in any more, and refuses those in line here."""
        self.draining = True
        admission = self.admission
        mine = [place for place in admission.waiting if place[1] is self]
        for place in mine:
            admission.waiting.remove(place)
            if not place[0].done():
                place[0].set_exception(Draining(f"{admission.name} is stopping"))
        if self.held == 0:
            self._quiet.set()

    async def quiet(self) -> None:
        """Returns once the calls that were let in have ended. Shut it first."""
        await self._quiet.wait()
