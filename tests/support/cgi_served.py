"""A CGI program in a pool of its own, and what a test asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from engine_guests import no_imports

from lath.http import HttpRequest, HttpResponse
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.cgi.handler import CgiHandler, run_interface
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool


class Program:
    """A program that serves, its pool, and what it wrote to stderr."""

    def __init__(self, pool: InstancePool, handler: CgiHandler, lines: list[tuple[str, str]]) -> None:
        self.pool = pool
        self.handler = handler
        self.lines = lines

    async def ask(self, path: str = "/", *, timeout_ms: int | None = None, **request: Any) -> HttpResponse:
        asked = HttpRequest(path_with_query=path, **request)
        return await self.handler.serve(asked, context=CallContext(), timeout_ms=timeout_ms)

    async def reply(self, path: str = "/", **request: Any) -> tuple[int, bytes]:
        """Status and body."""
        response = await self.ask(path, **request)
        return response.status, b"".join([chunk async for chunk in response.body])


@asynccontextmanager
async def serving_program(
    engine: Engine,
    source: bytes | CompiledComponent,
    limits: Limits | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Program]:
    compiled = await engine.compile(source) if isinstance(source, bytes) else source
    interface = run_interface(compiled.world.exports)
    assert interface is not None
    lines: list[tuple[str, str]] = []
    async with InstancePool(
        engine, compiled, limits or Limits(), no_imports, name="script", log=lambda *line: lines.append(line)
    ) as pool:
        yield Program(pool, CgiHandler(pool, interface, env or {}, "lath/1"), lines)
