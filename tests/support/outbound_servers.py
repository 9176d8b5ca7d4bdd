"""Servers on loopback for what components send, odd ones among them, and a client that asks them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from lath_host.engine.http.messages import HttpFailure, IncomingResponse, OutgoingRequest
from lath_host.engine.sockets.network import SocketBudget
from lath_host.outbound.client import OutgoingClient
from lath_host.outbound.resolver import Resolver, system_find
from lath_host.outbound.ways import WaysOut

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A server of bytes.

    Attributes:
        connections: How many there have been.
        requests: The heads of the requests that `head` has read.
    """

    def __init__(self, handler: Handler) -> None:
        self.connections = 0
        self.requests: list[str] = []
        self.port = 0
        self._handler = handler

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(
    handler: Handler | bytes, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """A server that answers each request with these bytes, or does as it likes with each connection."""
    server = Server(answering(handler) if isinstance(handler, bytes) else handler)
    if isinstance(handler, bytes):
        server._handler = answering(handler, server.requests)
    listening = await asyncio.start_server(server.serve, host, 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def answering(reply: bytes, requests: list[str] | None = None) -> Handler:
    """Answers every request with `reply`, and keeps the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await head(reader)
            if requests is not None:
                requests.append(request)
            writer.write(reply)
            await writer.drain()

    return answer


async def head(reader: asyncio.StreamReader) -> str:
    """The head of the next request; its body stays unread."""
    return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")


def ok(body: bytes = b"", *headers: str) -> bytes:
    """A plain reply."""
    lines = "".join(f"{header}\r\n" for header in headers).encode("latin-1")
    return b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: %d\r\n\r\n" % len(body) + body


class Answers(Resolver):
    """Answers look-ups as a test has it: by name, what each look-up gives in turn, the last from then on."""

    def __init__(self, **answers: list[str]) -> None:
        super().__init__(self._answer)
        self._answers = {name.replace("_", "."): answer for name, answer in answers.items()}
        self.asked: list[str] = []

    def _answer(self, name: str) -> list[str]:
        if name not in self._answers:
            return system_find(name)
        self.asked.append(name)
        answers = self._answers[name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer.split()


class Body:
    """The body of a request, given at once; then it may fail."""

    def __init__(self, chunks: Iterable[bytes], failure: HttpFailure | None = None) -> None:
        self._chunks = iter(chunks)
        self._failure = failure
        self.given = 0
        self.closed = False
        self.empty = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            self.given += len(chunk)
            return chunk
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    def close(self) -> None:
        self.closed = True


def request(
    url: str, method: str = "GET", headers: Mapping[str, bytes] | None = None, **more: Any
) -> OutgoingRequest:
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    fields: dict[str, Any] = {"path_with_query": slash + path, "body": None, "trailers": [], **more}
    return OutgoingRequest(method, scheme, authority, headers=list((headers or {}).items()), **fields)


class Asking:
    """A component that asks others."""

    def __init__(self, client: OutgoingClient) -> None:
        self._client = client

    async def ask(self, url: str, *args: Any, **options: Any) -> IncomingResponse:
        return await self._client.send(request(url, *args, **options))

    def waiting(self) -> list[bool]:
        """Of each connection that waits for a request, whether something has come on it."""
        assert self._client._transport is not None
        connector = self._client._transport.result()._session.connector
        assert connector is not None
        return [protocol.should_close for waiting in connector._conns.values() for protocol, _ in waiting]

    async def text(self, url: str, *args: Any, **options: Any) -> str:
        return (await read(await self.ask(url, *args, **options))).decode()

    async def failure(self, url: str, *args: Any, **options: Any) -> str:
        """The case of the `error-code` that a request, or the reading of its response, ends with."""
        return next(iter(await self.error_code(url, *args, **options)))

    async def error_code(self, url: str, *args: Any, **options: Any) -> dict[str, Any]:
        try:
            await read(await self.ask(url, *args, **options))
        except HttpFailure as failure:
            return failure.code
        raise AssertionError(f"{url} was answered")


async def read(response: IncomingResponse) -> bytes:
    assert response.body is not None
    return b"".join([chunk async for chunk in response.body])


@asynccontextmanager
async def asking(
    *allowed_hosts: str, ways: WaysOut | None = None, budget: SocketBudget | None = None
) -> AsyncIterator[Asking]:
    """A component with these `allowed_hosts`."""
    client = OutgoingClient("asker", allowed_hosts, ways or WaysOut(), budget)
    try:
        yield Asking(client)
    finally:
        await client.close()
