"""`wasi:io/poll`: what a guest waits for, of any kind, in one list; nothing is asked again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from lath.errors import InvalidArgument
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, WasiGuest

_NS_PER_S: Final = 1_000_000_000
_SLEEP_SECONDS_MAX: Final = 86_400.0
"""Longer waits are cut into pieces: timers of the event loop overflow on absurd values."""

Wake = Callable[[], None]
"""Called, on the loop, when something may have become ready; as often as it likes."""
CallOff = Callable[[], object]
"""Ends a watch."""


class Watched(Protocol):
    """What can become ready."""

    def ready(self) -> bool:
        """Whether it is, now."""

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once it may be."""


class Signal:
    """Tells those who watch it that something has changed."""

    _wakes: set[Wake] | None = None
    """Most are never watched."""

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called at the next change."""
        if self._wakes is None:
            self._wakes = set()
        self._wakes.add(wake)
        return partial(self._wakes.discard, wake)

    def notify(self) -> None:
        """Something has changed."""
        for wake in tuple(self._wakes or ()):
            wake()


class Pollable(Local):
    """A handle by which a guest waits for something.

    Args:
        watched: For what.
        parent: What it must not outlive.
    """

    def __init__(self, watched: Watched, parent: Local | None = None) -> None:
        super().__init__(parent)
        self.watched = watched


class Timer:
    """Ready from a point in time on.

    Args:
        due_ns: On the monotonic clock.
    """

    def __init__(self, due_ns: int) -> None:
        self._due_ns = due_ns

    def ready(self) -> bool:
        return self._due_ns <= time.monotonic_ns()

    def watch(self, wake: Wake) -> CallOff:
        left = (self._due_ns - time.monotonic_ns()) / _NS_PER_S
        return asyncio.get_running_loop().call_later(min(left, _SLEEP_SECONDS_MAX), wake).cancel


class Always:
    """Ready from the start."""

    def ready(self) -> bool:
        return True

    def watch(self, wake: Wake) -> CallOff:
        wake()
        return bool


async def first_ready(all_: Sequence[Watched]) -> list[int]:
    """The positions of those that are ready, once one is."""
    loop = asyncio.get_running_loop()
    while not (ready := [index for index, each in enumerate(all_) if each.ready()]):
        woken = loop.create_future()
        wake = partial(_set, woken)
        watches = [each.watch(wake) for each in all_]
        try:
            await woken
        finally:
            for call_off in watches:
                call_off()
    return ready


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _ready(guest: WasiGuest, params: list[Any]) -> bool:
    ready: bool = params[0].watched.ready()
    return ready


async def _block(guest: WasiGuest, params: list[Any]) -> None:
    await first_ready([params[0].watched])
    await asyncio.sleep(0)


async def _poll(guest: WasiGuest, params: list[Any]) -> list[int]:
    if not params[0]:
        raise InvalidArgument("wasi:io/poll was given an empty list, which would wait for ever")
    ready = await first_ready([pollable.watched for pollable in params[0]])
    # a guest that polls what is ready, over and over, must let others run
    await asyncio.sleep(0)
    return ready


ANSWERS: Final = {
    ("wasi:io/poll", "[method]pollable.ready"): Answer(_ready),
    ("wasi:io/poll", "[method]pollable.block"): Answer(later=_block),
    ("wasi:io/poll", "poll"): Answer(later=_poll),
}
