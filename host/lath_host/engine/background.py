"""A thread for long work that nobody waits for, and that may be left behind unfinished."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from lath_host.engine.threads import lower_priority

R = TypeVar("R")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]
_END: Final = None


class Background:
    """Runs one piece of work after another, at lower priority. The thread starts with the first.

    Unlike an executor's, neither `stop` nor the end of the process waits for what runs: compiling a large
    component takes tens of seconds and cannot be cut off.

    Args:
        name: Of the thread.
        nice: How much less its priority is; on Linux.
    """

    def __init__(self, name: str, nice: int) -> None:
        self._name = name
        self._nice = nice
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = False

    async def run(self, work: Callable[[], R]) -> R:
        """Runs `work` when its turn comes; cancelled before that, it never runs.

        Raises:
            RuntimeError: The thread has been stopped.
        """
        if self._stopped:
            raise RuntimeError(f"{self._name} has been stopped")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._jobs.put((work, future))
        return await future

    def stop(self) -> None:
        """Begins no more work. What runs goes on, and its outcome is dropped."""
        self._stopped = True
        self._jobs.put(_END)

    def _work(self) -> None:
        lower_priority(self._nice)
        while (job := self._jobs.get()) is not _END and not self._stopped:
            work, future = job
            if future.cancelled():
                continue
            try:
                outcome, error = work(), None
            except BaseException as failure:  # the caller's to handle, not the thread's
                outcome, error = None, failure
            with suppress(RuntimeError):  # its loop has been closed
                future.get_loop().call_soon_threadsafe(_finish, future, outcome, error)
            del job, work, future, outcome, error


def _finish(future: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(outcome)
    else:
        future.set_exception(error)
