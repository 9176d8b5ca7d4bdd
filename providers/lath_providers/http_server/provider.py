"""`HttpServer`: the provider that calls components with the HTTP requests that come in from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from lath.errors import InvalidArgument, Unavailable
from lath.http import HttpRequest, HttpResponse
from lath.provider import Link, Provider
from lath_providers.http_server.config import HttpServerConfig
from lath_providers.http_server.http1 import uvicorn_config
from lath_providers.http_server.listeners import Listeners, Place

PACKAGE: Final = ("wasi", "http")
INTERFACE: Final = "incoming-handler"


class HttpServer(Provider):
    """The source of links to components that export wasi:http/incoming-handler.

    Link config, at the source: `address`, `hosts`, `path`, `methods` and more, see `HttpServerConfig`.
    """

    def __init__(self) -> None:
        self._listeners = Listeners(self.serve)

    async def start(self, config: Mapping[str, str]) -> None:
        if config:
            names = ", ".join(sorted(config))
            raise InvalidArgument(f"http-server has no config of its own ({names}): put it into its links")
        await asyncio.to_thread(uvicorn_config)

    async def drain(self) -> None:
        await self._listeners.drain()

    async def stop(self) -> None:
        await self._listeners.close()

    def serve(self, link: Link, request: HttpRequest, *, timeout_ms: int) -> Awaitable[HttpResponse]:
        """Calls the component at the other end of a link."""
        return self.context.http(link, request, timeout_ms=timeout_ms)

    async def open_source_link(self, link: Link) -> Place:
        record = link.record
        if (record.wit_namespace, record.wit_package) != PACKAGE or INTERFACE not in link.interfaces:
            raise InvalidArgument("http-server calls wasi:http/incoming-handler: link it by that interface")
        return await self._listeners.add(link, link.config_as(HttpServerConfig))

    async def close_source_link(self, link: Link, held: Place) -> None:
        self._listeners.remove(held)  # its requests go on for a while; what is opened anew need not wait

    async def check_source_link(self, link: Link, held: Place) -> None:
        if not held.listener.serving:
            raise Unavailable(f"{held.listener.settings.address} does not listen any more")

    async def open_link(self, link: Link) -> Any:
        raise InvalidArgument("http-server calls components and is called by none: make it the link's source")
