"""Load: a closed loop (so many calls in flight), an open one (so many a second), and what they took."""

from __future__ import annotations

import asyncio
import selectors
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

Call = Callable[[], Awaitable[object]]
"""One call; it checks its own answer."""
T = TypeVar("T")

OPEN_LOOP_IN_FLIGHT_MAX: Final = 10_000
"""More means that the rate is far beyond what can be served."""


@dataclass(frozen=True, slots=True)
class Load:
    """What calls took.

    Attributes:
        calls_per_s: How many ended in a second.
        p50_us: Median duration, microseconds.
        p99_us: What one in a hundred took longer than.
    """

    calls_per_s: float
    p50_us: float
    p99_us: float

    def figures(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, with timers that are exact to microseconds: epoll waits whole milliseconds."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(work)


async def closed_loop(call: Call, in_flight: int, seconds: float) -> Load:
    """Keeps `in_flight` calls going for `seconds`."""
    durations: list[float] = []
    began = time.perf_counter()
    end = began + seconds

    async def worker() -> None:
        now = time.perf_counter()
        while now < end:
            started = now
            await call()
            now = time.perf_counter()
            durations.append(now - started)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return _load(durations, time.perf_counter() - began)


async def open_loop(call: Call, rate_per_s: float, seconds: float) -> Load:
    """Starts calls at even times, whether earlier ones have ended or not; durations count from when due.

    Raises:
        RuntimeError: Calls pile up: the rate is beyond what can be served.
        Exception: What a call failed with: the rest would look better than what was asked for.
    """
    durations: list[float] = []
    running: set[asyncio.Task[None]] = set()
    failed: list[asyncio.Task[None]] = []

    async def one(due: float) -> None:
        await call()
        durations.append(time.perf_counter() - due)

    def ended(task: asyncio.Task[None]) -> None:
        running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            failed.append(task)

    began = due = time.perf_counter()
    while due < began + seconds:
        due += 1 / rate_per_s
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        task = asyncio.create_task(one(due))
        running.add(task)
        task.add_done_callback(ended)
        if failed:
            break
        if len(running) > OPEN_LOOP_IN_FLIGHT_MAX:
            raise RuntimeError(f"{rate_per_s:.0f} calls a second cannot be served")
    await asyncio.gather(*running, *failed)
    return _load(durations, time.perf_counter() - began)


async def per_call_us(call: Call, seconds: float, at_least: int = 1) -> float:
    """Mean duration of calls one after another, in microseconds, over about `seconds`."""
    calls = 0
    began = now = time.perf_counter()
    while now < began + seconds or calls < at_least:
        await call()
        calls += 1
        now = time.perf_counter()
    return (now - began) / calls * 1e6


def _load(durations: Sequence[float], seconds: float) -> Load:
    several = durations if len(durations) > 1 else [*durations, *durations]
    cuts = statistics.quantiles(several, n=100, method="inclusive")
    return Load(len(durations) / seconds, cuts[49] * 1e6, cuts[98] * 1e6)
