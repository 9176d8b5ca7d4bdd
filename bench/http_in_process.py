"""The built-in HTTP server with a component behind it, in this process: without sockets, and without a bus.

All of a host that a request passes is there, as a host puts it together: the listener's connection, the
provider, the way to a neighbour, the link, the component and its pool. The connection to the bus is one that
was never opened: nothing goes by it.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

from bench.guests import HERE
from lath.bus import Bus, Credentials
from lath.bus.entry import Entry
from lath.links import LinkView
from lath.mirror import Mirror
from lath.model import ComponentLimits, LinkSpec, StoredLink
from lath.provider import Link, ProviderContext
from lath.provider.outgoing import OutgoingCalls
from lath.provider.pins import Pins
from lath.rpc import Caller
from lath_host.components.component import Component
from lath_host.components.deployment import Deployment
from lath_host.components.fusion import Fusion
from lath_host.components.local import LocalTargets
from lath_host.components.parts import ComponentParts
from lath_host.components.routes import Routes
from lath_host.engine import Engine
from lath_host.outbound.ways import WaysOut
from lath_host.providers.nearby import Nearby
from lath_providers.http_server import HttpServer
from lath_providers.http_server.config import HttpServerConfig
from lath_providers.http_server.greeting import Greeting
from lath_providers.http_server.http1 import uvicorn_config
from lath_providers.http_server.listener import Listener
from lath_providers.http_server.served import ServedLink

HELLO: Final = HERE / "hello_http.wat"
_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
_ANSWER: Final = b"HTTP/1.1 200 OK\r\n"
_HOST: Final = "host"
_SERVER: Final = "web"
_APP: Final = "app"
_INCARNATION: Final = 1
_IDLE_MS: Final = 3_600_000
"""Longer than a run takes where valgrind slows it down."""


class Wire(asyncio.Transport):
    """A connection whose other end is the caller, with one request at a time."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 4711), "sockname": ("127.0.0.1", 8080)})
        self._protocol: Any = None
        self._answer: asyncio.Future[bytes]

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    async def ask(self) -> bytes:
        """Sends the request of a hello. Returns the answer: the server writes it at once."""
        self._answer = asyncio.get_running_loop().create_future()
        self._protocol.data_received(_REQUEST)
        answer = await self._answer
        if not answer.startswith(_ANSWER):
            raise ValueError(f"the server answered {answer!r}")
        return answer

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self._answer.set_result(bytes(data))

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def open_hello(stack: AsyncExitStack, engine: Engine, **limits: Any) -> Wire:
    """A connection to a server whose only link leads to the component that says hello.

    Args:
        stack: Closes all of it.
        engine: Runs the component.
        limits: Of the component (`lath.model.ComponentLimits`).
    """
    bus = Bus("nats://127.0.0.1", lattice="bench", name=_HOST, credentials=Credentials())
    mirror, link = _linked(bus)
    routes = _routes(mirror)
    stack.callback(routes.close)
    caller = Caller(bus, None, _HOST)
    stack.push_async_callback(caller.close)
    parts = _parts(bus, engine, routes, caller)
    deployment = Deployment(_APP, str(HELLO), 4, ComponentLimits(**limits))
    component = Component(parts, deployment, await engine.compile(HELLO.read_bytes()))
    stack.push_async_callback(component.close)
    await component._pool.start()
    parts.targets.add(_APP, component)
    provider = _provider(bus, Nearby(parts.targets, caller, bus.lattice))
    return await _connect(provider, link)


def _linked(bus: Bus) -> tuple[Mirror, Link]:
    """A mirror of links that was never started, with the one that leads to the component."""
    mirror = Mirror(bus, "links")
    spec = LinkSpec(
        source_id=_SERVER, target=_APP, wit_namespace="wasi", wit_package="http",
        interfaces=("incoming-handler",),
    )  # fmt: skip
    stored = StoredLink.model_validate({**spec.model_dump(), "incarnation": _INCARNATION})
    mirror._apply(Entry(stored.key, stored.model_dump_json().encode(), 1, created_ns=0))
    (record,) = LinkView(mirror).links.values()
    return mirror, Link.of(record, _SERVER)


def _routes(mirror: Mirror) -> Routes:
    nobody: Any = None  # only link verbs ask for what is served
    return Routes(
        _HOST, mirror, LinkView(mirror), nobody,
        expected=tuple, lost=tuple, on_state=lambda link, gone: None,
    )  # fmt: skip


def _parts(bus: Bus, engine: Engine, routes: Routes, caller: Caller) -> ComponentParts:
    no_secrets: Any = None  # the component asks for none
    return ComponentParts(
        bus, engine, routes, LocalTargets(), caller, _HOST, lambda names: {}, 60_000, Fusion(routes),
        WaysOut(), lambda component_id: no_secrets,
    )  # fmt: skip


def _provider(bus: Bus, nearby: Nearby) -> HttpServer:
    outgoing = OutgoingCalls(bus, _SERVER, nearby)
    unused: Any = None
    provider = HttpServer()
    provider.context = ProviderContext(
        lattice=bus.lattice, provider_id=_SERVER, instance_id=_SERVER, host_id=_HOST, nats_url="",
        credentials=None, config={}, call=outgoing.call, http=outgoing.http, lost=unused,
        pins=Pins(_SERVER, _SERVER),
    )  # fmt: skip
    return provider


async def _connect(provider: HttpServer, link: Link) -> Wire:
    """A client's connection to a listener that does not listen."""
    await asyncio.to_thread(uvicorn_config)
    config = HttpServerConfig(access_log=False, idle_timeout_ms=_IDLE_MS)
    listener = Listener(config.listener, provider.serve, lambda: True)
    listener.routes.add(ServedLink(link, config))
    wire = Wire()
    greeting = Greeting(listener._front, lambda: True, None)
    wire.set_protocol(greeting)
    greeting.connection_made(wire)
    return wire
