"""Processes by id and start time, so that nobody else's process is ended when an id has been given anew."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

_POLL_SECONDS: Final = 0.05
_PROC: Final = Path("/proc")
_START_FIELD: Final = 19
"""Field 22 of /proc/PID/stat, counted from the one after the command's closing bracket."""
_GONE_STATES: Final = ("Z", "X")
"""A zombie has ended: only its parent has not asked for the exit status yet."""


class ProcessRecord(BaseModel):
    """A process that was started here.

    Attributes:
        started: When it started, as the system tells; with the id, it names one process for good.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    started: str
    log: str = ""

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return start_of(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if that very process still runs."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def record(name: str, pid: int, log: Path | None = None) -> ProcessRecord:
    """The record of a process that has just been started."""
    return ProcessRecord(name=name, pid=pid, started=start_of(pid) or "", log=str(log or ""))


def start_of(pid: int) -> str | None:
    """When a process started; None when it is gone."""
    if not _PROC.is_dir():
        return _start_by_ps(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in _GONE_STATES else fields[_START_FIELD]


def _start_by_ps(pid: int) -> str | None:
    done = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    words = done.stdout.split()
    return " ".join(words[1:]) if words and not words[0].startswith(_GONE_STATES) else None


def living(processes: Sequence[ProcessRecord]) -> list[ProcessRecord]:
    """Those that still run."""
    return [process for process in processes if process.alive]


def _send(processes: Sequence[ProcessRecord], number: signal.Signals) -> None:
    for process in processes:
        process.send(number)


async def end(processes: Sequence[ProcessRecord], *, grace_ms: int) -> list[ProcessRecord]:
    """Ends processes: SIGTERM, and after the grace SIGKILL. Returns those that had to be killed."""
    await asyncio.to_thread(_send, processes, signal.SIGTERM)
    if await gone(processes, timeout_ms=grace_ms):
        return []
    killed = await asyncio.to_thread(living, processes)
    await asyncio.to_thread(_send, killed, signal.SIGKILL)
    await gone(killed, timeout_ms=grace_ms)
    return killed


async def gone(processes: Sequence[ProcessRecord], *, timeout_ms: int) -> bool:
    """Waits until all of them have ended; False when some still run after the time-out."""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            while await asyncio.to_thread(living, processes):  # noqa: ASYNC110 (nobody tells of others' children)
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        return False
    return True
