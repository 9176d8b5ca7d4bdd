"""The threads in which busy guests go on: shared fairly between components, below the loop's priority.

Work comes in slices (a guest is polled for some epochs, then stands in line again). Components take turns,
however many of their calls are busy; the calls of one component take turns among themselves. A component of
weight 2 gets two slices where one of weight 1 gets one. What a component did not use it does not save up.

The threads have the lowest priority there is, so that the loop soon runs when it wakes. Where other processes
fill the machine such threads starve; one that does is replaced by one of a middling priority, for a while.
Replaced, since a thread may lower its priority but not raise it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, thread_time
from typing import Final

NICE_MAX: Final = 19
NICE: Final = NICE_MAX
"""How much less the threads' priority is than the loop's. The less, the sooner the loop runs once awake."""
NICE_CROWDED: Final = 5
"""The same where that starves, and for compiling: a quarter of a core that another process fills. At 19 it is
a seventieth."""
STARVED_SECONDS: Final = 0.1
"""A slice is judged when it took so long: ten times what it should take."""
STARVED_PART: Final = 0.1
"""It starved if its thread ran for less than this part of it. Threads that share a core with a few of their
kind get more."""
CROWDED_SECONDS: Final = 60.0
"""How long the machine then counts as crowded. Looking again costs a slice that may starve, and stalls the
loop if that happens while it holds the interpreter lock."""


class Share:
    """One component's part in the threads.

    Args:
        name: Whose it is.
        weight: Slices that it gets where another gets one.

    Attributes:
        slices: How many it has been given, ever.
    """

    __slots__ = ("_due", "_waiting", "name", "slices", "weight")

    def __init__(self, name: str, weight: int = 1) -> None:
        self.name = name
        self.weight = weight
        self.slices = 0
        self._waiting: deque[Slice] = deque()
        self._due = 0.0


class Slice:
    """A piece of work that waits for a thread, runs there, or has run.

    Attributes:
        future: Its result, on the loop that asked for it. Never done when it was withdrawn.
    """

    __slots__ = ("_taken", "_withdrawn", "_work", "future")

    def __init__(self, work: Callable[[], bool], future: asyncio.Future[bool]) -> None:
        self.future = future
        self._work = work
        self._taken = False
        self._withdrawn = False


class FairThreads:
    """A pool of threads. They are started when there is work for them.

    Args:
        count: How many slices may run at once.
        nice: How much less the threads' priority is, unless they starve; 0: the same. Only Linux knows
            priorities of threads.
    """

    def __init__(self, count: int, *, nice: int = NICE) -> None:
        self.count = count
        self._nice = nice if sys.platform == "linux" else 0
        self._crowded_until = 0.0
        self._changed = threading.Condition()
        self._line: list[tuple[float, int, Share]] = []
        """A heap of the shares that have waiting work: the one that is furthest behind first."""
        self._numbers = itertools.count()
        self._now = 0.0
        """The turn of the share that was served last: one that comes back starts there."""
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._stopped = False

    def submit(self, share: Share, work: Callable[[], bool]) -> Slice:
        """Has `work` run in a thread, when it is its turn. Call it on a loop."""
        slice_ = Slice(work, asyncio.get_running_loop().create_future())
        with self._changed:
            if not share._waiting:
                share._due = max(share._due, self._now)
                self._stand_in_line(share)
            share._waiting.append(slice_)
            if self._idle:
                self._changed.notify()
            elif len(self._threads) < self.count and not self._stopped:
                self._start_thread()
        return slice_

    def withdraw(self, slice_: Slice) -> bool:
        """Gives up a slice that has not begun; False when it has."""
        with self._changed:
            slice_._withdrawn = not slice_._taken
            return slice_._withdrawn

    def stop(self) -> None:
        """Ends the threads, each after the slice that it runs. What waits is forgotten.

        Called in one of them, it waits for the others.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()

    def _start_thread(self) -> None:
        name = f"lath-guest-{len(self._threads)}"
        thread = threading.Thread(target=self._run, args=[self._nice_now()], name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _nice_now(self) -> int:
        return min(self._nice, NICE_CROWDED) if monotonic() < self._crowded_until else self._nice

    def _run(self, nice: int) -> None:
        lower_priority(nice)
        while (slice_ := self._next()) is not None:
            began, ran = monotonic(), thread_time()
            try:
                done, error = slice_._work(), None
            except BaseException as failure:  # the caller's to handle, not the thread's
                done, error = False, failure
            self._judge(monotonic() - began, thread_time() - ran, nice)
            loop = slice_.future.get_loop()
            with suppress(RuntimeError):  # its loop has been closed
                loop.call_soon_threadsafe(_finish, slice_.future, done, error)
            del slice_, error
            if nice != self._nice_now():
                self._make_room(loop)
                return

    def _judge(self, took: float, ran: float, nice: int) -> None:
        if nice > NICE_CROWDED and took > STARVED_SECONDS and ran < took * STARVED_PART:
            self._crowded_until = monotonic() + CROWDED_SECONDS

    def _make_room(self, loop: asyncio.AbstractEventLoop) -> None:
        """Takes the running thread out. The loop starts the next, as a priority is inherited."""
        with self._changed:
            self._threads.remove(threading.current_thread())
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(self._fill_up)

    def _fill_up(self) -> None:
        with self._changed:
            if self._line and not self._idle and len(self._threads) < self.count and not self._stopped:
                self._start_thread()

    def _next(self) -> Slice | None:
        """Waits for a slice; None at the end."""
        with self._changed:
            while not self._stopped:
                slice_ = self._take()
                if slice_ is not None:
                    return slice_
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
        return None

    def _take(self) -> Slice | None:
        while self._line:
            due, _, share = heapq.heappop(self._line)
            slice_ = share._waiting.popleft()
            slice_._taken = not slice_._withdrawn
            if slice_._taken:
                self._now = due
                share._due = due + 1 / share.weight
                share.slices += 1
            if share._waiting:
                self._stand_in_line(share)
            if slice_._taken:
                return slice_
        return None

    def _stand_in_line(self, share: Share) -> None:
        heapq.heappush(self._line, (share._due, next(self._numbers), share))


def lower_priority(nice: int) -> None:
    """Lowers the priority of the running thread, and of those that it starts, by `nice`; on Linux."""
    if nice > 0 and sys.platform == "linux":
        own = threading.get_native_id()
        with suppress(OSError):  # a sandbox may forbid it; then the threads are as the others
            os.setpriority(os.PRIO_PROCESS, own, min(NICE_MAX, os.getpriority(os.PRIO_PROCESS, own) + nice))


def _finish(future: asyncio.Future[bool], done: bool, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(done)
    else:
        future.set_exception(error)
