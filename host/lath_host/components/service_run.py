"""A component as a service: one that exports `wasi:cli/run` runs for as long as it is deployed.

One run per host, in an instance of its own, beside the calls that the component may serve. When it ends, well
or not, it is started again after a pause that grows, and that is forgotten after a good run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace
from typing import Any, Final

from lath.errors import LathError
from lath.model import ServiceDescription, ServiceStatus
from lath.telemetry import get_logger
from lath_host.components.imports import ENDLESS, GuestCall
from lath_host.engine.limits import Limits
from lath_host.engine.pool import InstancePool
from lath_host.restarts import Restarts

RUN_FUNCTION: Final = "run"
_RUN_MS_MAX: Final = 100 * 365 * 24 * 3600 * 1000
"""A run has no deadline; what it calls has the default one, call by call."""

_log = get_logger(__name__)


class ServiceRun:
    """Runs one component as a service.

    Args:
        component_id: Its id, for the log.
        interface: The export that is run.
        limits: The component's; its memory limit holds, one instance is used, fuel is not counted.
        make_pool: Makes the pool for the limits that it is given.
        restarts: The pauses between runs.
    """

    def __init__(
        self,
        component_id: str,
        interface: str,
        limits: Limits,
        make_pool: Callable[[Limits], InstancePool],
        restarts: Restarts | None = None,
    ) -> None:
        self._id = component_id
        self._interface = interface
        self._pool = make_pool(_limits_of_run(limits))
        self._delays = restarts or Restarts()
        self._status: ServiceStatus = "starting"
        self._restarts = 0
        self._last_end: str | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts it; returns at once."""
        # a context of its own: it is no part of the trace in which somebody placed the component
        self._task = asyncio.get_running_loop().create_task(
            self._keep_running(), name=f"service {self._id}", context=Context()
        )

    async def rescale(self, limits: Limits) -> None:
        """Applies other limits, from the next run on."""
        await self._pool.scale(_limits_of_run(limits))

    def describe(self) -> ServiceDescription:
        return ServiceDescription(status=self._status, restarts=self._restarts, last_error=self._last_end)

    async def close(self) -> None:
        """Ends it. Closing twice is fine."""
        self._status = "stopped"
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._pool.close()

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._status = "running"
            self._last_end = await self._run()
            pause_s = self._delays.next_delay_s(loop.time() - began)
            self._status = "backoff"
            _log.warning(
                "service ended", component_id=self._id, how=self._last_end, again_in_s=round(pause_s, 2)
            )
            await asyncio.sleep(pause_s)
            self._restarts += 1

    async def _run(self) -> str:
        """One run; how it ended."""
        _log.info("service starts", component_id=self._id, restarts=self._restarts)
        try:
            result: Any = await self._pool.call(
                self._interface, RUN_FUNCTION, [], context=GuestCall(ENDLESS), timeout_ms=_RUN_MS_MAX
            )
        except LathError as error:
            return str(error)
        failed = isinstance(result, dict) and "err" in result
        return "it returned an error" if failed else "it returned"


def _limits_of_run(limits: Limits) -> Limits:
    one = replace(limits, max_instances=1, queue_max=0, warm_instances=0, fuel_max=None)
    return replace(one, reuse=False, calls_max=None, idle_seconds=None)
