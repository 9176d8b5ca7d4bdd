"""`jco serve` as a peer: Node runs a JavaScript component behind its own HTTP server.

It keeps one instance, unless told to isolate requests. What componentize-js builds (0.19 and 0.23) answers
one request in an instance, so it is told. Its other way, a worker for each, takes longer still.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

_READY_SECONDS: Final = 120.0
_READY: Final = b"Server listening"


def why_no_jco() -> str:
    """Why there is no `jco serve` here; empty where there is."""
    return "" if shutil.which("jco") else "no jco on PATH: npm install -g @bytecodealliance/jco"


@asynccontextmanager
async def jco_peer(component: Path) -> AsyncIterator[str]:
    """Serves a component; the URL that it is at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "jco", "serve", str(component), "--host", "127.0.0.1", "--port", str(port),
        "--isolate-requests", "instance",
        stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await _ready(process)
        drained = asyncio.create_task(_drain(process))
        yield f"http://127.0.0.1:{port}/"
        drained.cancel()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # jco, and the process that it serves by
        await process.wait()


async def _ready(process: Process) -> None:
    assert process.stderr is not None
    said = b""
    while line := await process.stderr.readline():
        said += line
        if line.startswith(_READY):
            return
    raise RuntimeError(f"jco serve ended: {said.decode(errors='replace')}")


async def _drain(process: Process) -> None:
    assert process.stderr is not None
    while await process.stderr.readline():
        pass
