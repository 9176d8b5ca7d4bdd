"""Runs `lath` as a real process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND_SECONDS = 60.0
EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTSTATS = EXAMPLES / "textstats/textstats.wat"
BUILT = Path(tempfile.gettempdir()) / "lath-test-built"
"""A `LATH_HOME` whose cache tests share: building and compiling an example in Python is slow, and depends on
its source alone."""


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


class Terminal:
    """A terminal that `lath` runs in. An async context manager.

    Attributes:
        shown: What was printed there.
        theirs: Its other end, as the command has it.
    """

    def __init__(self) -> None:
        self.shown = bytearray()
        self._ours, self.theirs = os.openpty()

    async def __aenter__(self) -> Terminal:
        asyncio.get_running_loop().add_reader(
            self._ours, lambda: self.shown.extend(os.read(self._ours, 65_536))
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self.theirs)

    async def spawn(self, *arguments: str) -> asyncio.subprocess.Process:
        """Starts `lath` in it."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lath_control.cli", *arguments,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())


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
