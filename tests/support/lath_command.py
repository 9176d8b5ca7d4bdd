"""Runs `lath` as a real process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND_SECONDS = 60.0
EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTSTATS = EXAMPLES / "textstats/textstats.wat"


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as JSON: fails where anything else was printed there."""
        assert self.out, f"no JSON, but exit code {self.code}: {self.err}"
        return json.loads(self.out)


Lath = Callable[..., Awaitable[Ran]]


async def spawn(*arguments: str, env: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    """Starts `lath` as a process, its output piped."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lath_control.cli", *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )  # fmt: skip


async def run(*arguments: str, env: dict[str, str] | None = None, timeout_s: float = COMMAND_SECONDS) -> Ran:
    """Runs `lath` to its end."""
    process = await spawn(*arguments, env=env)
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())
