"""A component that serves HTTP, in a pool of its own, and what a test asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine_guests import no_imports

from lath.http import HttpRequest, HttpResponse
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.http.exchange import HttpHandler, incoming_handler
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool


class Served:
    """A component that serves, and its pool."""

    def __init__(self, pool: InstancePool, handler: HttpHandler) -> None:
        self.pool = pool
        self.handler = handler

    async def ask(self, path: str = "/", *, timeout_ms: int | None = None, **request: Any) -> HttpResponse:
        asked = HttpRequest(path_with_query=path, **request)
        return await self.handler.serve(asked, context=CallContext(), timeout_ms=timeout_ms)

    async def text(self, path: str = "/", **request: Any) -> str:
        return (await whole(await self.ask(path, **request))).decode()


async def whole(response: HttpResponse) -> bytes:
    return b"".join([chunk async for chunk in response.body])


async def chunks(*all_: bytes) -> AsyncIterator[bytes]:
    for chunk in all_:
        yield chunk


@asynccontextmanager
async def serving_pool(
    engine: Engine, compiled: CompiledComponent, limits: Limits | None = None, **options: Any
) -> AsyncIterator[Served]:
    interface = incoming_handler(compiled.world.exports)
    assert interface is not None
    async with InstancePool(engine, compiled, limits or Limits(), no_imports, name="web", **options) as pool:
        yield Served(pool, HttpHandler(pool, interface))
