"""Keeps the lattice's buckets in being: a host runs one, and so a lost store is made again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Final

from lath.bus.buckets import BucketStore, ensure_buckets
from lath.bus.connection import Bus
from lath.errors import LathError
from lath.subjects import BUCKET_KINDS, BucketKind
from lath.telemetry import get_logger

_log = get_logger("lath.bus")

CHECK_S: Final = 30.0
"""How often the buckets are looked at while the connection holds: somebody may have deleted one."""
_RETRY_S: Final = 1.0

LostCallback = Callable[[Sequence[BucketKind]], None]


class BucketKeeper:
    """See the module.

    Args:
        bus: A connection with the rights of a host.
        replicas: Copies of each bucket in a cluster.
        on_state_lost: Called with the buckets that were found empty and new, after they were made again.
        check_s: How often to look while the connection holds.

    Attributes:
        incarnations: When each bucket was made, nanoseconds since the epoch.
        history: All creation times of the bucket of links that were seen, oldest first.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        replicas: int = 1,
        on_state_lost: LostCallback | None = None,
        check_s: float = CHECK_S,
    ) -> None:
        self._bus = bus
        self._replicas = replicas
        self._on_state_lost = on_state_lost
        self._check_s = check_s
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._incarnations: dict[BucketKind, int] = {}
        self.incarnations: Mapping[BucketKind, int] = MappingProxyType(self._incarnations)
        self.history: list[int] = []

    async def start(self) -> None:
        """Makes the buckets where they are missing, and keeps looking after them.

        Raises:
            LathError: What `ensure_buckets` raises.
        """
        if self._task is None:
            await self._check()
            self._undo = self._bus.on_reconnect(self._wake.set)
            self._task = asyncio.create_task(self._run(), name="bucket keeper")

    async def close(self) -> None:
        """Stops looking after them."""
        task, self._task = self._task, None
        if task is not None:
            self._undo()
            task.cancel()
            await asyncio.wait({task})

    async def __aenter__(self) -> BucketKeeper:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self) -> None:
        wait_s = self._check_s
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            self._wake.clear()
            wait_s = self._check_s
            if not self._bus.connected:
                continue
            try:
                await self._check()
            except LathError as e:
                _log.warning("the buckets could not be made, trying again", error=str(e))
                wait_s = _RETRY_S

    async def _check(self) -> None:
        await ensure_buckets(self._bus, replicas=self._replicas)
        lost: list[BucketKind] = []
        for kind in BUCKET_KINDS:
            incarnation = await BucketStore(self._bus, kind).incarnation()
            before = self._incarnations.get(kind, incarnation)
            self._incarnations[kind] = incarnation
            # Presence lives in memory: that it is new after a restart says nothing.
            if before != incarnation and kind != "presence":
                lost.append(kind)
        if not self.history or self.history[-1] != self._incarnations["links"]:
            self.history.append(self._incarnations["links"])
        if lost:
            _log.error("the bus lost its state: these buckets are new and empty", buckets=lost)
            if self._on_state_lost is not None:
                self._on_state_lost(lost)
