"""Instruction counts by callgrind: repeatable where times are not, whatever else the machine does.

Counted are the instructions of the main thread, in user space. A count is no time: it knows nothing of
caches, system calls and waiting. Compare it with itself.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.counted import WORKLOADS
from bench.machine import ROOT
from bench.measurement import FLOOR_COUNTED, Measurement, Opened, Rig, Settings, Values

_MEASUREMENTS: Final = tuple(
    Measurement(f"instructions.{name}", "instructions", "lower", what, floor=FLOOR_COUNTED)
    for name, (what, _, _) in WORKLOADS.items()
)
_LABEL: Final = re.compile(r"^desc: Trigger: Client Request: (\w+)/(\d+)$", re.MULTILINE)
_TOTAL: Final = re.compile(r"^totals: (\d+)$", re.MULTILINE)
_MAIN_THREAD: Final = "-01"


def why_no_callgrind() -> str:
    """Why nothing can be counted here; empty where it can."""
    if platform.machine() != "x86_64":
        return "no instruction counts: bench/callgrind.py knows x86-64 only"
    missing = [tool for tool in ("valgrind", "setarch") if not shutil.which(tool)]
    return f"no instruction counts: {' and '.join(missing)} not found" if missing else ""


def _per_run(folder: Path) -> dict[str, float]:
    """Instructions of one run by workload, from callgrind's files."""
    totals: dict[str, dict[int, int]] = {}
    for file in folder.glob(f"counts*{_MAIN_THREAD}"):
        text = file.read_text()
        label, total = _LABEL.search(text), _TOTAL.search(text)
        if label and total:
            totals.setdefault(label[1], {})[int(label[2])] = int(total[1])
    found = {}
    for name, by_times in totals.items():
        once, twice = sorted(by_times)
        found[f"instructions.{name}"] = (by_times[twice] - by_times[once]) / (twice - once)
    return found


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    opened = Opened()
    if why := why_no_callgrind():
        opened.notes.append(why)
        yield opened
        return

    async def probe() -> Values:
        with tempfile.TemporaryDirectory(dir=settings.folder) as name:
            process = await asyncio.create_subprocess_exec(
                "setarch", "-R",  # addresses are hashed: they have to be the same each time
                "valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", "-q",
                f"--callgrind-out-file={name}/counts", sys.executable, "-m", "bench.counted",
                cwd=ROOT, env={"PYTHONHASHSEED": "0", **os.environ}, stdout=PIPE, stderr=PIPE,
            )  # fmt: skip
            _, said = await process.communicate()
            if process.returncode:
                raise RuntimeError(f"counting failed: {said.decode(errors='replace')}")
            found = await asyncio.to_thread(_per_run, Path(name))
        for measurement in _MEASUREMENTS:
            if measurement.name not in found and not opened.notes:
                opened.notes.append(f"not counted: {said.decode(errors='replace').strip()}")
        return found

    opened.probes.append(probe)
    yield opened


INSTRUCTIONS = Rig(
    "instructions", "instruction counts (callgrind)", _MEASUREMENTS, _open, rounds_max=1, undisturbed=True
)
