"""A link that is served: its requests that run, and how they end when it goes."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from lath.provider import Link
from lath_providers.http_server.config import HttpServerConfig
from lath_providers.http_server.exchange import Refusal

RETRY_AFTER: Final = ((b"retry-after", b"1"),)
"""Who was turned away for want of room may come again in a second."""
ENDING_S: Final = 2.0
"""How long requests that were told to end may take for it: they send an error, or reset."""


class ServedLink:
    """What a route leads to, and what the provider holds for a link.

    Args:
        link: The link.
        config: Its config.

    Attributes:
        leaving: Whether it takes no more requests.
    """

    def __init__(self, link: Link, config: HttpServerConfig) -> None:
        self.link = link
        self.config = config
        self.key: Final = link.key
        self.hosts = config.hosts
        self.path = config.path
        self.methods = config.methods
        self.leaving = False
        self._running: set[Running] = set()
        self._left = asyncio.Event()
        """Set once it is leaving and its last request has ended."""

    @property
    def running(self) -> int:
        """How many of its requests run."""
        return len(self._running)

    def admit(self, task: asyncio.Task[None]) -> Running:
        """Lets a request run: `with served.admit(task) as running`.

        Args:
            task: Handles the request, and nothing else.

        Raises:
            Refusal: `concurrency_max` of them run, or the link goes.
        """
        if self.leaving:
            raise Refusal(503, "the link is being closed", RETRY_AFTER)
        if len(self._running) >= self.config.concurrency_max:
            raise Refusal(503, "too many requests run", RETRY_AFTER)
        return Running(self, task)

    def entered(self, running: Running) -> None:
        """A request begins to run."""
        self._running.add(running)

    def left(self, running: Running) -> None:
        """It has ended."""
        self._running.discard(running)
        if self.leaving and not self._running:
            self._left.set()

    async def drain(self) -> None:
        """Takes no more requests; ends those that still run after `drain_ms`."""
        self.leaving = True
        if not await self._idle_within(self.config.drain_ms / 1000):
            self.end()
            await self._idle_within(ENDING_S)

    def end(self) -> None:
        """Takes no more requests, and ends those that run."""
        self.leaving = True
        for running in tuple(self._running):
            running.end(Refusal(503, "the server stops", RETRY_AFTER))

    async def _idle_within(self, seconds: float) -> bool:
        if not self._running:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._left.wait()
        except TimeoutError:
            return False
        return True


class Running:
    """A request that runs, for as long as `with` lasts; `end` ends it from outside.

    Args:
        served: Whose it is.
        task: What handles it.
    """

    __slots__ = ("_cancelled", "_ending", "_served", "_task", "_verdict")

    def __init__(self, served: ServedLink, task: asyncio.Task[None]) -> None:
        self._served = served
        self._task = task
        self._cancelled = False  # here
        self._ending: asyncio.Handle | None = None
        self._verdict: Refusal | None = None

    def end(self, verdict: Refusal) -> None:
        """Cancels what runs inside; the block raises `verdict`. The first verdict stands."""
        if self._verdict is None:
            self._verdict = verdict
            self._ending = asyncio.get_running_loop().call_soon(self._cancel)

    def check(self) -> None:
        """Raises the verdict, once there is one: what ends in spite of it is not to pass for whole."""
        if self._verdict is not None:
            raise self._verdict

    def __enter__(self) -> Self:
        self._served.entered(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._served.left(self)
        ended = self._verdict
        self._verdict = ended or _OVER
        if ended is None or self._ending is None:
            return
        self._ending.cancel()
        others = self._task.uncancel() > 0 if self._cancelled else False
        if self._cancelled and not others and isinstance(error, asyncio.CancelledError):
            raise ended from None
        if isinstance(error, Exception) and error is not ended:
            raise ended from error  # what was ended has failed before it could be cancelled

    def _cancel(self) -> None:
        """As `asyncio.timeout` does, without its timer."""
        self._cancelled = True
        self._task.cancel()


_OVER: Final = Refusal(500, "the request has ended")
"""Stands for the verdict of a request that has ended by itself."""
