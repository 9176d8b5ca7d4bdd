"""Runs what blocks in a few threads, and is not ended by being cancelled while one of them is at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS_MAX: Final = 8
"""Enough to keep a disk busy; what comes beyond waits in line, within its call's deadline."""


class Threads:
    """The threads of one provider instance."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="lath-blobstore-fs")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises.

        Cancelled, it still waits for the thread: a descriptor must not be closed under one that writes to it.
        """
        running = asyncio.wrap_future(self._executor.submit(function, *args, **kwargs))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait({running})
            if not running.cancelled():
                running.exception()  # seen, so that it is not reported as lost
            raise

    def close(self) -> None:
        """Takes nothing more. Threads that hang are left to themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)
