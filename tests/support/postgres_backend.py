"""A PostgreSQL server that a test takes away and gives back (`lath.testing.backend.Backend`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

from frozen import freeze, signal_all
from postgres_databases import beside
from postgres_server import Cluster


class PostgresBackend:
    """A server of the test's own, with its processes in the test's hands.

    Args:
        cluster: Its data, made already.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._running = False
        self._frozen: list[int] = []

    async def start(self) -> None:
        if not self._running:
            await asyncio.to_thread(self._cluster.start)
            self._running = True

    async def stop(self) -> None:
        """Kills every process of it: what is frozen ends no other way."""
        if self._running:
            self._running = False
            pids = await self._freeze_all()
            self._frozen = []
            signal_all(pids, signal.SIGKILL)
            await asyncio.to_thread(_wait_gone, pids)
            self._cluster.pid_file.unlink()  # one that nobody has waited for yet looks alive

    async def freeze(self) -> None:
        if self._running and not self._frozen:
            self._frozen = await self._freeze_all()

    async def thaw(self) -> None:
        frozen, self._frozen = self._frozen, []
        signal_all(frozen, signal.SIGCONT)

    async def connections(self) -> set[str]:
        async with beside(self._cluster.server) as connection:
            rows = await connection.fetch(
                "SELECT pid, backend_start FROM pg_stat_activity WHERE application_name LIKE 'lath%'"
            )
        return {f"{row['pid']} {row['backend_start']}" for row in rows}

    async def _freeze_all(self) -> list[int]:
        """The first of them first, so that it makes no more."""
        pid = self._cluster.pid
        await freeze(pid)
        children = list(_children(pid))
        await freeze(*children)
        return [pid, *children]


def _children(pid: int) -> Iterator[int]:
    return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _wait_gone(pids: list[int]) -> None:
    """Until all of them have ended: their port and their memory are free then."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                select.select([handle], [], [])  # readable once the process has ended
            finally:
                os.close(handle)
