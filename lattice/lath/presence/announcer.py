"""Says that an instance is there, for as long as it is."""

from __future__ import annotations

import asyncio
import contextlib
import random
from types import TracebackType
from typing import Final

from lath import subjects
from lath.bus import jetstream
from lath.bus.connection import Bus
from lath.bus.entry import DELETED
from lath.errors import InvalidArgument, LathError
from lath.model import Presence
from lath.presence.timing import RENEWALS_PER_TTL, WITHDRAWN_KEPT_S
from lath.telemetry import get_logger

_log = get_logger("lath.presence")

_RETRY_MIN_S: Final = 0.1
_RETRY_MAX_S: Final = 2.0


class PresenceAnnouncer:
    """Keeps one entry in the bucket of presence.

    Subscribe and flush before starting it: who reads the entry will call at once.

    Args:
        bus: The connection; it needs the right to write this one key.
        presence: What to say, and how long it holds: it is renewed three times in that.
    """

    def __init__(self, bus: Bus, presence: Presence) -> None:
        self._bus = bus
        self._presence = presence
        self._renew_s = presence.ttl_ms / 1000 / RENEWALS_PER_TTL
        self._subject = subjects.key_subject("presence", bus.lattice, presence.key)
        self._renew_now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._undo = _nothing
        self.announced = asyncio.Event()
        """Set once the bucket has stored the entry for the first time."""

    @property
    def presence(self) -> Presence:
        return self._presence

    async def start(self) -> None:
        """Announces. Where the bucket is not there yet, it goes on trying; see `announced`."""
        if self._task is None:
            self._undo = self._bus.on_reconnect(self._renew_now.set)
            failed = not await self._announce()
            self._task = asyncio.create_task(self._renew(failed), name=f"presence {self._presence.key}")

    async def update(self, presence: Presence) -> None:
        """Says something else from now on.

        Raises:
            InvalidArgument: It is another instance's.
        """
        if presence.key != self._presence.key:
            raise InvalidArgument(f"presence {presence.key} is not that of {self._presence.key}")
        self._presence = presence
        if self._task is not None and not await self._announce():
            self._renew_now.set()

    async def withdraw(self) -> None:
        """Says goodbye: everybody knows at once. Without a connection the entry ends by itself."""
        task, self._task = self._task, None
        self._undo()
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        with contextlib.suppress(LathError):
            await jetstream.publish(
                self._bus,
                self._subject,
                b"",
                headers={
                    subjects.HEADER_KV_OPERATION: DELETED,
                    subjects.HEADER_TTL: f"{WITHDRAWN_KEPT_S}s",
                },
            )

    async def close(self) -> None:
        """Withdraws, unless that was done."""
        await self.withdraw()

    async def __aenter__(self) -> PresenceAnnouncer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _renew(self, failed: bool) -> None:
        failures = int(failed)
        while True:
            await self._wait(failures)
            self._renew_now.clear()
            failures = 0 if await self._announce() else failures + 1

    async def _wait(self, failures: int) -> None:
        if failures:
            wait_s = min(_RETRY_MAX_S, self._renew_s, _RETRY_MIN_S * 2.0 ** min(failures, 8))
        else:
            wait_s = self._renew_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s * random.uniform(0.9, 1.0)):
                await self._renew_now.wait()

    async def _announce(self) -> bool:
        try:
            await jetstream.publish(
                self._bus,
                self._subject,
                self._presence.model_dump_json().encode(),
                headers={subjects.HEADER_TTL: f"{self._presence.ttl_ms // 1000}s"},
                timeout_ms=max(1000.0, self._renew_s * 1000),
            )
        except LathError as e:
            level = _log.debug if self._bus.connected and not self.announced.is_set() else _log.info
            level("presence could not be renewed, trying again", key=self._presence.key, error=str(e))
            return False
        self.announced.set()
        return True


def _nothing() -> None:
    """Before `start` there is nothing to undo."""
