"""A host as a process of its own, for tests that kill, freeze or interrupt it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from lath.presence import PresenceView
from lath_host.identity import make_identity

START_SECONDS = 30.0


class HostProcess:
    """Runs `python -m lath_host`. An async context manager: the process is killed at its end.

    Args:
        url: The nats-server.
        lattice: The lattice.
        options: More command-line options.
        env: More environment variables.

    Attributes:
        id: The host id.
    """

    def __init__(self, url: str, lattice: str, *options: str, env: Mapping[str, str] | None = None) -> None:
        identity = make_identity()
        self.id = identity.id
        self._command = (
            sys.executable, "-m", "lath_host", "--nats-url", url, "--lattice", lattice, *options,
        )  # fmt: skip
        self._env = {**os.environ, "LATH_HOST_SEED": identity.seed, **(env or {})}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "start it first"
        return self._process.pid

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(*self._command, env=self._env)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        await self.exited()

    async def present(self, presence: PresenceView) -> None:
        """Waits until the host has announced itself."""
        async with asyncio.timeout(START_SECONDS):
            await presence.wait_until(lambda: any(host.target == self.id for host in presence.hosts()))

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process, if it still runs."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def exited(self) -> int:
        """Waits for the end of the process; returns its exit status."""
        assert self._process is not None, "start it first"
        async with asyncio.timeout(START_SECONDS):
            return await self._process.wait()
