"""A pool of counters, resources of a component's own, as the engine's tests call it."""

from __future__ import annotations

from typing import Any

from engine_guests import Context
from msgpack import ExtType
from resource_guests import COUNTERS_NAME

from lath.codec import ComponentHandle
from lath.testing import eventually
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

CONTEXT = Context()
DROPPING = Context("a destructor's")


class Witness:
    """Answers the import `dropped`: what was dropped, and on behalf of whom."""

    def __init__(self) -> None:
        self.dropped: list[tuple[int, CallContext]] = []

    async def __call__(self, import_: Import, context: CallContext, params: list[Any]) -> Any:
        self.dropped.append((params[0], context))

    @property
    def values(self) -> list[int]:
        return [value for value, _ in self.dropped]


class Counters:
    """A pool of counters, called by short names."""

    def __init__(self, pool: InstancePool) -> None:
        self.pool = pool

    async def new(self, start: int, near: ExtType | None = None) -> ExtType:
        token = ComponentHandle.parse(near.data).token if near else b""
        handle = await self.pool.call(
            COUNTERS_NAME, "[constructor]counter", [start], context=CONTEXT, near=token
        )
        assert isinstance(handle, ExtType)
        return handle

    async def __call__(self, name: str, *params: Any, timeout_ms: int | None = None) -> Any:
        kind = "static" if name in ("take", "pair") else "method"
        return await self.pool.call(
            COUNTERS_NAME, f"[{kind}]counter.{name}", list(params), context=CONTEXT, timeout_ms=timeout_ms
        )

    def release(self, *handles: ExtType) -> None:
        self.pool.release([ComponentHandle.parse(handle.data).token for handle in handles])

    @property
    def pinned(self) -> int:
        return self.pool.stats.pinned

    async def plain(self) -> int:
        drops = await self.pool.call(COUNTERS_NAME, "drops", [], context=CONTEXT)
        assert isinstance(drops, int)
        return drops


async def released(counters: Counters) -> None:
    await eventually(lambda: counters.pinned == 0 and counters.pool.stats.running == 0)
