"""`Schedule`: calls components on time, once per lattice however many instances there are."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Final

from lath.bus import Bus
from lath.errors import InvalidArgument, NotFound
from lath.provider import Link, Provider
from lath.telemetry import get_logger
from lath_providers.schedule.clock import Clock, SystemClock
from lath_providers.schedule.config import ScheduleConfig
from lath_providers.schedule.job import INTERFACE, Job
from lath_providers.schedule.ledger import Ledger
from lath_providers.schedule.times import times_of

_INTERFACE_OF_LINK: Final = ("wasmcloud", "cron", "scheduler")
_REPLICAS: Final = "replicas"


class Schedule(Provider):
    """Calls `wasmcloud:cron/scheduler.invoke` of the components that it is linked to; see `ScheduleConfig`.

    Config of its own: `replicas`, of the bucket with its records.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._jobs: set[Job] = set()
        self._bus: Bus | None = None
        self._replicas = 1
        self._connecting = asyncio.Lock()

    async def start(self, config: Mapping[str, str]) -> None:
        if unknown := sorted(set(config) - {_REPLICAS}):
            raise InvalidArgument(f"schedule has no config {', '.join(unknown)}, only {_REPLICAS}")
        if (replicas := config.get(_REPLICAS, "1")) not in ("1", "3", "5"):
            raise InvalidArgument(f"{_REPLICAS} is {replicas[:20]!r}: use 1, 3 or 5")
        self._replicas = int(replicas)
        try:  # reads files, so not on the loop
            await asyncio.to_thread(importlib.import_module, "cronsim")
        except ModuleNotFoundError as e:
            need = "schedule needs the extra `schedule` (pip install 'lath[schedule]')"
            raise NotFound(f"{need}: {e}") from None

    async def drain(self) -> None:
        await asyncio.gather(*(job.drain() for job in tuple(self._jobs)))

    async def stop(self) -> None:
        if self._bus is not None:
            await self._bus.close()

    async def open_source_link(self, link: Link) -> Job:
        interface = (link.record.wit_namespace, link.record.wit_package, *link.interfaces)
        if interface != _INTERFACE_OF_LINK:
            raise InvalidArgument(f"a schedule's link is of {INTERFACE}, and of no other interface")
        config = await asyncio.to_thread(link.config_as, ScheduleConfig)  # time zones are read from files
        times = await asyncio.to_thread(times_of, config)
        ledger = await self._ledger()

        async def invoke(payload: bytes, timeout_ms: int) -> None:
            await self.context.call(link, INTERFACE, "invoke", payload, timeout_ms=timeout_ms)

        log = get_logger("lath.schedule").bind(instance=self.context.instance_id)
        job = Job(link, config, times, ledger, self._clock, self.context.instance_id, invoke, log)
        self._jobs.add(job)
        return job

    async def close_source_link(self, link: Link, job: Job) -> None:
        self._jobs.discard(job)
        await job.close()

    async def check_source_link(self, link: Link, job: Job) -> None:
        await job.check()

    async def _ledger(self) -> Ledger:
        """The records, on a connection that all jobs share; it reconnects by itself."""
        async with self._connecting:
            if self._bus is None:
                self._bus = await Bus.connect(
                    self.context.nats_url,
                    lattice=self.context.lattice,
                    name=f"lath-schedule {self.context.provider_id}",
                    credentials=self.context.credentials,
                )
        ledger = Ledger(self._bus, self.context.provider_id)
        await ledger.make(self._replicas)
        return ledger
