"""What is called when a connection changes, and the tasks that come of it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

from lath.telemetry import get_logger

_log = get_logger("lath.bus")

_CANCEL_AGAIN_S: Final = 0.1


class Callbacks:
    """A list of callables, plain or async. None of them can harm who calls or one another."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[..., Awaitable[None] | None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, callback: Callable[..., Awaitable[None] | None]) -> Callable[[], None]:
        """Adds one; returns what removes it."""
        self._callbacks.append(callback)

        def remove() -> None:
            with contextlib.suppress(ValueError):
                self._callbacks.remove(callback)

        return remove

    def call(self, *args: Any) -> None:
        """Calls them all. An async one runs in a task."""
        for callback in list(self._callbacks):
            try:
                result = callback(*args)
            except Exception:
                _log.exception("a connection callback failed")
                continue
            if result is not None and inspect.isawaitable(result):
                task = asyncio.ensure_future(_logged(result))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends the tasks, except the one that asks for it."""
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                await ended(task)


async def ended(task: asyncio.Future[Any]) -> None:
    """Cancels a task and waits for its end; its outcome is of no interest any more.

    It is cancelled again while it goes on: Python 3.11's `wait_for`, on which nats-py builds, loses a
    cancellation that comes at the moment of an error, and nats-py's `connect` then tries on for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN_S)
    if not task.cancelled():
        task.exception()


async def _logged(work: Awaitable[None]) -> None:
    try:
        await work
    except Exception:
        _log.exception("a connection callback failed")
