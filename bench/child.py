"""Processes of the bench's own: `python -m bench.…`, which answer questions, a line of JSON each.

The first line of a child says that it is ready, with what its parent needs to know. A child ends when its
stdin does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from bench.machine import ROOT

_LINE_BYTES_MAX: Final = 16 << 20
_END_SECONDS: Final = 30.0


class Child:
    """A running child, from its parent's side.

    Attributes:
        ready: What it said when it was ready.
        pid: Its process id.
    """

    def __init__(self, process: Process, name: str) -> None:
        self.ready: Any = None
        self.pid = process.pid
        self._process = process
        self._name = name

    async def ask(self, question: Any) -> Any:
        """Asks and waits for the answer.

        Raises:
            RuntimeError: The child ended, or failed to answer; its own words are on stderr.
        """
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(question).encode() + b"\n")
        await stdin.drain()
        return await self._line()

    async def _line(self) -> Any:
        stdout = self._process.stdout
        assert stdout is not None
        line = await stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with status {await self._process.wait()}")
        return json.loads(line)


@asynccontextmanager
async def child(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Child]:
    """Runs `python -m MODULE ARGUMENTS…`, with more environment variables; it is ready inside."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        cwd=ROOT, env={**os.environ, **(env or {})}, stdin=PIPE, stdout=PIPE, limit=_LINE_BYTES_MAX,
    )  # fmt: skip
    started = Child(process, module)
    try:
        started.ready = await started._line()
        yield started
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def answer(reply: Callable[[Any], Awaitable[Any]], ready: Any = None) -> None:
    """A child's main part: says that it is ready, and answers until stdin ends."""
    print(json.dumps(ready), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await reply(json.loads(line))), flush=True)


async def until_told_to_end(ready: Any = None) -> None:
    """A child's main part where it only serves."""
    print(json.dumps(ready), flush=True)
    await asyncio.to_thread(sys.stdin.read)
