"""Brings links up to date whose config changed while nobody re-put them.

Who writes a config also re-puts the links that name it, but may die in between. Every host runs a repair. It
is level-based: it compares what the mirrors of links and config hold, whatever happened before. Hosts do not
fight: each waits a moment of its own, looks again, and stores by compare-and-set.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from lath.bus.buckets import BucketStore
from lath.bus.connection import Bus
from lath.errors import LathError
from lath.links.store import LinkStore
from lath.links.view import LinkView
from lath.mirror import Mirror
from lath.model import Link
from lath.telemetry import get_logger

_log = get_logger("lath.links")

GRACE_MS: Final = 300
"""The writer of a config gets this long to re-put the links itself."""
JITTER_MS: Final = 700
_RETRY_S: Final = 1.0
_AT_ONCE_MAX: Final = 16


class Repair:
    """See the module. Its mirrors are started and closed by their owner.

    Args:
        bus: A connection with the rights of a host.
        links: All links.
        configs: A mirror of the bucket `config`.
        grace_ms: How long the writer of a config may take.
        jitter_ms: How far hosts spread their repairs.

    Attributes:
        repaired: How many links this one has stored again.
    """

    def __init__(
        self,
        bus: Bus,
        links: LinkView,
        configs: Mirror,
        *,
        grace_ms: int = GRACE_MS,
        jitter_ms: int = JITTER_MS,
    ) -> None:
        self._store = LinkStore(bus)
        self._link_bucket = BucketStore(bus, "links")
        self._config_bucket = BucketStore(bus, "config")
        self._links = links
        self._configs = configs
        self._grace_s = grace_ms / 1000
        self._jitter_s = jitter_ms / 1000
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.repaired = 0

    async def start(self) -> None:
        """Starts repairing, beginning with a look at everything."""
        if self._task is None:
            self._undo = [
                self._links.mirror.on_change(lambda changes: self._dirty.set()),
                self._configs.on_change(lambda changes: self._dirty.set()),
            ]
            self._dirty.set()
            self._task = asyncio.create_task(self._run(), name="repair of links")

    async def close(self) -> None:
        """Stops repairing."""
        task, self._task = self._task, None
        if task is not None:
            for undo in self._undo:
                undo()
            task.cancel()
            await asyncio.wait({task})

    async def __aenter__(self) -> Repair:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._links.mirror.wait_synced()
                await self._configs.wait_synced()
                await self._repair_all()
            except LathError as e:
                _log.debug("repair of links is put off", error=str(e))
                await asyncio.sleep(_RETRY_S)
                self._dirty.set()
            except Exception:
                _log.exception("repair of links failed, and tries again")
                await asyncio.sleep(_RETRY_S)
                self._dirty.set()

    async def _repair_all(self) -> None:
        if not self._candidates(None):
            return
        await asyncio.sleep(self._grace_s + random.uniform(0, self._jitter_s))
        incarnations = await self._incarnations()
        keys = self._candidates(incarnations)
        random.shuffle(keys)  # so that several hosts share the work
        slots = asyncio.Semaphore(_AT_ONCE_MAX)
        outcomes = await asyncio.gather(
            *(self._repair_one(key, slots, incarnations) for key in keys), return_exceptions=True
        )
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            raise failures[0]

    async def _repair_one(self, key: str, slots: asyncio.Semaphore, incarnations: tuple[int, int]) -> None:
        async with slots:
            link = self._links.links.get(key)
            if link is None or not self._stale(link, incarnations):
                return  # somebody else was faster
            after, by_us = await self._store.refreshed(key)
            if after is not None and by_us:
                self.repaired += 1
                _log.info("brought a link up to date", link=key, revision=str(after.revision))

    async def _incarnations(self) -> tuple[int, int]:
        return await self._link_bucket.incarnation(), await self._config_bucket.incarnation()

    def _candidates(self, incarnations: tuple[int, int] | None) -> list[str]:
        return [key for key, link in self._links.links.items() if self._stale(link, incarnations)]

    def _stale(self, link: Link, incarnations: tuple[int, int] | None) -> bool:
        """Whether a link was resolved from older configs than stand in the mirror.

        Without the incarnations, which have to be asked for, each link that may be.
        """
        if incarnations is not None and link.incarnation != incarnations[0]:
            return True
        for name in _configs_of(link):
            entry = self._configs.entries.get(name)
            if entry is None:
                continue  # deleted: the link keeps what it had
            known = link.config_revisions.get(name)
            if known is None or known.sequence < entry.sequence:
                return True
            if incarnations is None:
                if known.sequence != entry.sequence:
                    return True
            elif known.incarnation != incarnations[1]:
                return True
        return False


def _configs_of(link: Link) -> Sequence[str]:
    return (*link.source_config, *link.target_config)
