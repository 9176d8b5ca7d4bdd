"""The HTTP server without a lattice: links that lead to functions, and clients that write what they like."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lath import model
from lath.http import Header, HttpRequest, HttpResponse
from lath.model import Revision
from lath.provider import Link
from lath_providers.http_server.config import HttpServerConfig
from lath_providers.http_server.http1 import uvicorn_config
from lath_providers.http_server.listeners import Listeners, Place

Component = Callable[[HttpRequest], Awaitable[HttpResponse]]


class Body:
    """A response's body made of an async generator, which notes whether it was closed."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.closed = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        self.closed = True
        await self._chunks.aclose()  # type: ignore[attr-defined]


async def _of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def text(*chunks: str, status: int = 200, headers: list[Header] | None = None) -> HttpResponse:
    """A response of which everything is known."""
    return HttpResponse(status, headers or [], Body(_of(*(chunk.encode() for chunk in chunks))))


def streaming(
    chunks: AsyncIterator[bytes], *, status: int = 200, headers: list[Header] | None = None
) -> HttpResponse:
    return HttpResponse(status, headers or [], Body(chunks))


async def hello(request: HttpRequest) -> HttpResponse:
    return text("hello\n")


async def echo(request: HttpRequest) -> HttpResponse:
    """Gives back the body as it comes."""

    async def chunks() -> AsyncIterator[bytes]:
        if request.body is not None:
            async for chunk in request.body:
                yield chunk

    return streaming(chunks())


async def whole_body(request: HttpRequest) -> bytes:
    return b"".join([chunk async for chunk in request.body]) if request.body is not None else b""


@dataclass
class Front:
    """A server, with its links.

    Attributes:
        seen: The requests that reached components.
        timeouts: With which time-outs.
    """

    settings: dict[str, str]
    seen: list[HttpRequest] = field(default_factory=list)
    timeouts: list[int] = field(default_factory=list)
    components: dict[str, Component] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.listeners = Listeners(self._serve, handover_s=0)
        self.port = 0

    async def _serve(self, link: Link, request: HttpRequest, *, timeout_ms: int) -> HttpResponse:
        self.seen.append(request)
        self.timeouts.append(timeout_ms)
        return await self.components[link.target](request)

    async def link(self, target: str, component: Component, **config: str) -> Place:
        """Links a component, at the address of those before it."""
        address = f"127.0.0.1:{self.port}"
        checked = HttpServerConfig.model_validate({"address": address, **self.settings, **config})
        self.components[target] = component
        place = await self.listeners.add(link_to(target), checked)
        assert place.listener.address is not None
        if self.port == 0:
            self.port = place.listener.address.port
        self.places[target] = place
        return place

    async def unlink(self, target: str) -> None:
        """On return the requests of the link have ended."""
        await asyncio.wait({self.listeners.remove(self.places.pop(target))})

    async def client(self, tls: ssl.SSLContext | None = None, host: str = "localhost") -> RawClient:
        name = host if tls else None
        return RawClient(
            *await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=name, limit=2**24)
        )


def link_to(target: str) -> Link:
    """A link of a server."""
    record = model.Link(
        source_id="web", target=target, name=f"to-{target}", wit_namespace="wasi", wit_package="http",
        interfaces=("incoming-handler",), incarnation=1, revision=Revision(incarnation=1, sequence=1),
    )  # fmt: skip
    return Link.of(record, "web")


@asynccontextmanager
async def fronting(component: Component | None = None, **config: str) -> AsyncIterator[Front]:
    """A server at a port that is free, with a link `app` to `component`."""
    await asyncio.to_thread(uvicorn_config)
    settings = {"access_log": "false", "drain_ms": "0", **config}
    front = Front({name: settings.pop(name) for name in list(settings) if name in SHARED} | {"drain_ms": "0"})
    front.port = await free_port()
    if component is not None:
        await front.link("app", component, **settings)
    try:
        yield front
    finally:
        async with asyncio.timeout(20):
            for target in list(front.places):
                await front.unlink(target)


SHARED = {
    "access_log", "tls_cert", "tls_key", "header_bytes_max", "header_timeout_ms", "idle_timeout_ms",
    "stall_timeout_ms", "connections_max", "requests_per_connection_max",
}  # fmt: skip
"""The settings that links at one address have in common."""


async def free_port() -> int:
    """A port that nobody listens at."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@dataclass
class Answer:
    """A response as it came: `body` decoded, `raw` not."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for each, value in self.headers if each == name]
        return ", ".join(values) if values else None

    @property
    def text(self) -> str:
        return self.body.decode()


class RawClient:
    """A connection, and what is written on it, to the byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def __aenter__(self) -> RawClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, *parts: bytes | str) -> None:
        for part in parts:
            self.writer.write(part.encode("latin-1") if isinstance(part, str) else part)
        await self.writer.drain()

    async def get(self, path: str = "/", *headers: str, method: str = "GET") -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "host: localhost", *headers]
        await self.send("\r\n".join(lines) + "\r\n\r\n")
        return await self.answer(bodiless=method == "HEAD")

    async def head(self) -> Answer:
        """The head of the next response."""
        async with asyncio.timeout(10):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        return Answer(int(first.split(" ")[1]), [(name.lower(), value) for name, value in pairs], b"")

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """The next response, whole.

        Raises:
            IncompleteReadError: It was broken off.
        """
        async with asyncio.timeout(10):
            found = await self.head()
            if bodiless or found.status in (100, 204, 304):
                return found
            if (length := found.header("content-length")) is not None:
                found.body = await self.reader.readexactly(int(length))
            elif found.header("transfer-encoding") == "chunked":
                found.body = b"".join([chunk async for chunk in self.chunks()])
            else:
                found.body = await self.reader.read()
            return found

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
            chunk = await self.reader.readexactly(size + 2)
            if size == 0:
                return
            yield chunk[:-2]

    async def ended(self) -> bool:
        """Waits for the end of the connection. Returns whether it was clean: nothing more came, no reset."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return False
