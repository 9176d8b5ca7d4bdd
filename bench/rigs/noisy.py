"""How long a small call takes beside guests that compute: quiet, one per core less one, one per core, four.

Another process asks over a socket, 500 times a second; each question makes one call into a warm component.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from bench.guests import TEXT_ECHO
from bench.in_process import Pool, open_pool
from bench.machine import ROOT
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from lath.testing import eventually
from lath_host.engine import CompiledComponent, Engine

_RATE_PER_S: Final = 500
_SECONDS_MIN: Final = 2.0
"""A thousand calls: ten of them are beyond the p99."""
_CASES: Final = {
    "quiet": "alone",
    "cores_less_one": "beside one busy guest per core, less one",
    "cores": "beside one busy guest per core",
    "four_per_core": "beside four busy guests per core",
}
_MEASUREMENTS: Final = tuple(
    Measurement(
        f"noisy.{case}.{figure}_us", "us", "lower", f"a small call, {what}",
        "" if case == "quiet" else f"noisy.quiet.{figure}_us",
    )
    for case, what in _CASES.items()
    for figure in ("p50", "p99")
)  # fmt: skip


def _busy(case: str) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"quiet": 0, "cores_less_one": cores - 1, "cores": cores, "four_per_core": 4 * cores}[case]


async def _round_trips(pool: Pool, seconds: float) -> tuple[float, float]:
    """p50 and p99 of the other process's questions, in microseconds."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours:
        asker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.steady_asker", str(theirs.fileno()), str(_RATE_PER_S), str(seconds),
            cwd=ROOT, pass_fds=[theirs.fileno()], stdout=PIPE,
        )  # fmt: skip
        theirs.close()
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(ours, 1):
            await pool.echo("x")
            await loop.sock_sendall(ours, b"x")
        out, _ = await asker.communicate()
    p50, p99 = json.loads(out)
    return p50, p99


def _probe(case: str, engine: Engine, compiled: CompiledComponent, small: Pool, seconds: float) -> Probe:
    async def probe() -> Values:
        async with AsyncExitStack() as stack:
            noisy = await open_pool(stack, engine, compiled, timeout_ms=600_000)
            spinning = [asyncio.ensure_future(noisy.spin()) for _ in range(_busy(case))]
            await eventually(lambda: noisy.instances.stats.running == len(spinning))
            p50, p99 = await _round_trips(small, seconds)
            await noisy.instances.close()
            await asyncio.gather(*spinning, return_exceptions=True)
        return {f"noisy.{case}.p50_us": p50, f"noisy.{case}.p99_us": p99}

    return probe


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine())
        compiled = await engine.compile(TEXT_ECHO.encode())
        small = await open_pool(stack, engine, compiled, reuse=True)
        seconds = max(_SECONDS_MIN, settings.seconds)
        yield Opened([_probe(case, engine, compiled, small, seconds) for case in _CASES])


NOISY = Rig("noisy", "a small call beside guests that compute", _MEASUREMENTS, _open)
