"""One request on a connection, whatever its version of HTTP: what protocols give and handlers use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from lath.http import Header
from lath_providers.http_server.config import ListenerSettings

LINGER_S: Final = 2.0
"""How long a connection that ends is still read: closed at once, it would take what was sent last with it
(RFC 9112, 9.6)."""


READ_BYTES: Final = 128 * 1024
"""Read from a socket at a time."""


class Refusal(Exception):
    """A request that the server answers itself.

    Args:
        status: 400 to 599.
        reason: For people, one line; goes into the body.
        headers: Beside those of every refusal.
    """

    def __init__(self, status: int, reason: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason
        self.headers = headers


@dataclass(slots=True)
class RequestHead:
    """What a request says before its body. Nobody changes it; freezing it would take as long as making it.

    Attributes:
        version: `1.0`, `1.1` or `2`.
        method: As sent.
        scheme: `http` or `https`, by the connection.
        authority: As sent, by the target or by `host`; empty only in HTTP/1.0.
        host: Of the authority, as routes are looked up by; empty where there is none.
        target: Path and query, as sent; `*` where that is asked.
        headers: Those that go on to the guest, their names in lower case.
        read: The values of those that the server reads itself, by name; see `fields`.
        content_length: None: not said.
        has_body: Whether one follows.
        peer: The client's address and port.
    """

    version: str
    method: str
    scheme: str
    authority: str
    host: str
    target: str
    headers: list[Header]
    read: Mapping[str, list[bytes]]
    content_length: int | None
    has_body: bool
    peer: str

    def values(self, name: str) -> list[str]:
        """The values of a header that the server reads, each as it was sent."""
        return [value.decode("latin-1") for value in self.read.get(name, ())]


class Exchange(Protocol):
    """A request, and what its response is written to. Headers that are the server's own are added.

    When the client goes away the task that runs the handler is cancelled.
    """

    @property
    def head(self) -> RequestHead: ...

    @property
    def task(self) -> asyncio.Task[None]:
        """What handles it."""

    @property
    def started(self) -> bool:
        """Whether the response has begun."""

    async def read(self) -> bytes:
        """What has come of the body, waiting for something; empty: it has ended.

        Raises:
            Refusal: It is malformed, or does not go on in time.
        """

    def take(self) -> bytes:
        """What has come of the body, without waiting; empty: nothing, or `read` says what."""

    def trailers(self) -> list[Header]:
        """Those of the request, once its body has ended."""

    @property
    def takes_trailers(self) -> bool:
        """Whether trailers of the response reach the client."""

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Sends a response of which all is there, and says how long it is where the headers do not."""

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Sends the head of the response."""

    async def write(self, chunk: bytes) -> None:
        """Sends a piece of its body, waiting while the client does not take it."""

    async def finish(self, trailers: list[Header]) -> None:
        """Ends the response. Trailers are left out where the response has no way for them."""

    def reset(self) -> None:
        """Breaks the response off, so that the client cannot take it for whole."""


Answer: TypeAlias = Callable[[Exchange], Coroutine[Any, Any, None]]
"""Handles an exchange. Raises nothing but the `CancelledError` of its task."""


class Connection(Protocol):
    """An open connection, to the listener."""

    def shutdown(self) -> None:
        """Takes no further request; closes once those that run are answered."""

    def abort(self) -> None:
        """Closes at once."""


class Front:
    """What the connections of one listener share.

    Args:
        settings: The listener's.
        answer: Handles their requests.
        refused: Told of what was refused before it was a request: peer, status, reason.

    Attributes:
        connections: Those that are open.
        room: What one of them reads into; empty again before another does.
        closing: Whether they take no further requests.
    """

    def __init__(
        self, settings: ListenerSettings, answer: Answer, refused: Callable[[str, int, str], None]
    ) -> None:
        self.settings: Final = settings
        self.answer: Final = answer
        self.refused: Final = refused
        self.connections: set[Connection] = set()
        self.room: Final = memoryview(bytearray(READ_BYTES))
        self.closing = False
        self._none_left = asyncio.Event()
        self._none_left.set()

    def opened(self, connection: Connection) -> None:
        self.connections.add(connection)
        self._none_left.clear()

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._none_left.set()

    def shutdown(self) -> None:
        """Lets each connection end once it has answered what it was asked."""
        self.closing = True
        for connection in tuple(self.connections):
            connection.shutdown()

    async def ended(self, within_s: float) -> None:
        """Waits until all are closed; closes those that are left."""
        try:
            async with asyncio.timeout(within_s):
                await self._none_left.wait()
        except TimeoutError:
            for connection in tuple(self.connections):
                connection.abort()


def peer_name(address: Any) -> str:
    """The address of one end of a connection, for logs and heads: `127.0.0.1:4711`, `[::1]:4711`."""
    if not isinstance(address, tuple) or len(address) < 2:
        return ""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
