"""How much memory this process takes, for tests of what streams."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

SAMPLE_S: Final = 0.01
_STATUS: Final = Path("/proc/self/status")
_FIELD: Final = "RssAnon:"


def resident_bytes() -> int:
    """The memory that this process has of its own, without the files that it maps."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(_FIELD):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{_STATUS} has no {_FIELD}")


@asynccontextmanager
async def resident_bytes_added() -> AsyncIterator[Callable[[], int]]:
    """How much memory was added at most while the block ran: `async with … as added: …; added()`."""
    gc.collect()
    before = most = resident_bytes()

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, resident_bytes())
            await asyncio.sleep(SAMPLE_S)

    watching = asyncio.create_task(watch())
    try:
        yield lambda: most - before
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
