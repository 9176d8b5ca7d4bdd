"""Makes processes hang, as SIGSTOP does, and returns once they do.

The signal only asks: while the machine is busy, threads of the process go on for some milliseconds, and
what is sent to it meanwhile may still be answered.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lath.testing import eventually

_STANDING: Final = frozenset("TZX")
"""States of threads in /proc: stopped, or ended."""


async def freeze(*pids: int) -> None:
    """Stops processes; returns once no thread of them runs. What has ended meanwhile is passed over."""
    signal_all(pids, signal.SIGSTOP)
    await eventually(lambda: all(map(stands, pids)))


def stands(pid: int) -> bool:
    """Whether no thread of a process runs."""
    return all(_state(task) in _STANDING for task in Path(f"/proc/{pid}/task").glob("*"))


def signal_all(pids: Iterable[int], number: int) -> None:
    """Sends a signal to processes; what has ended is passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _state(task: Path) -> str:
    """The letter of a thread's state, the first field behind its name in brackets."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
