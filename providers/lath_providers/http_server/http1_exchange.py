"""A request of HTTP/1.x and its response, in the place of uvicorn's cycle of them.

uvicorn's protocol puts into it what comes of the body; the response is written here, in one piece where all
of it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from lath.http import Header
from lath_providers.http_server.exchange import Refusal, RequestHead
from lath_providers.http_server.gathering import GatheringTransport
from lath_providers.http_server.replies import NO_BODY, own_lines

BODY_BYTES_MAX: Final = 128 * 1024
"""Of a body that its component has not read yet, beside what was read last; then its client waits."""
PIECE_BYTES: Final = 64 * 1024
"""What smaller pieces of a body are joined to, where so much has come. Larger ones are slower: past 128 KiB
malloc has the kernel map each copy that is made on the way to the guest, and clear its pages."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_TRAILERS: Final = "trailers"
_UNHEARD: Final = asyncio.Event()
"""Of requests without a body, which nobody waits for."""


class Http1Exchange(RequestResponseCycle):
    """Implements `exchange.Exchange`, and what uvicorn's protocol asks of a cycle.

    Args:
        head: The request's.
        stall_s: How long the client may keep a read waiting.
        transport: The connection's.
        flow: Likewise.
        keep_alive: Whether the connection may go on after the response.
        on_response: Called once the response is complete.
        reset: Breaks the connection.

    Attributes:
        task: What handles it, once its turn has come.
        came: The request's trailers, as far as they have come.
        started: Whether the response has begun.
        came_bytes: Of the body so far.
        waiting: Of the body, in bytes: what has come and nobody has read yet.
        last: Once the response is complete: whether the connection ends with it.
    """

    transport: GatheringTransport
    task: asyncio.Task[None]

    def __init__(
        self,
        head: RequestHead,
        stall_s: float,
        transport: GatheringTransport,
        flow: FlowControl,
        keep_alive: bool,
        on_response: Callable[[], None],
        reset: Callable[[], None],
    ) -> None:
        self.head = head
        self.came: list[Header] = []
        self._parts: list[bytes] = []
        self.came_bytes = self.waiting = 0
        self.more_body = True
        self.message_event = asyncio.Event() if head.has_body else _UNHEARD
        self.disconnected = self.response_complete = False
        self.started = self.last = False
        self.transport = transport
        self.flow = flow
        self.keep_alive = keep_alive
        self.on_response = on_response
        self.reset = reset
        self.waiting_for_100_continue = "expect" in head.read
        self._stall_s = stall_s
        self._begun = self._chunked = False
        self._left: int | None = None  # of the response's body, in bytes, where its length was said
        self._failure: Refusal | None = None

    # --- what its connection tells it ----------------------------------------------------------------

    def begin(self, task: asyncio.Task[None]) -> None:
        """Its turn has come; `task` handles it."""
        self.task = task
        self._begun = True

    @property
    def unread(self) -> bool:
        """Whether more of the request is to come."""
        return not self._begun or self.more_body

    def feed(self, body: bytes) -> int:
        """More of the body has come; returns how much of it waits to be read."""
        if self.response_complete:
            return 0
        self._parts.append(body)
        self.came_bytes += len(body)
        self.waiting += len(body)
        self.message_event.set()
        return self.waiting

    def fail(self, why: Refusal) -> None:
        """The rest of the body is malformed."""
        self._failure = why
        self.keep_alive = False
        self.message_event.set()

    def lost(self) -> None:
        """The client is gone."""
        self.disconnected = True
        self.message_event.set()
        if self._begun and not self.response_complete:
            self.task.cancel()

    # --- the request ---------------------------------------------------------------------------------

    async def read(self) -> bytes:
        while self._parts or self.more_body:
            if self._failure is not None:
                raise self._failure
            if self.disconnected or self.response_complete:
                raise Refusal(400, "the request's body was broken off")
            if self.waiting_for_100_continue and not self.transport.is_closing():
                self.transport.write(_CONTINUE)
                self.waiting_for_100_continue = False
            if chunk := self.take():
                return chunk
            self.flow.resume_reading()
            self.message_event.clear()
            try:
                async with asyncio.timeout(self._stall_s):
                    await self.message_event.wait()
            except TimeoutError:
                raise Refusal(408, "the request's body took too long") from None
        return b""

    def take(self) -> bytes:
        if self.disconnected or self.response_complete or self._failure is not None:
            return b""
        if not self._parts or self.waiting_for_100_continue:
            return b""
        count = size = 0
        while size < PIECE_BYTES and count < len(self._parts):
            size += len(self._parts[count])
            count += 1
        chunk = b"".join(self._parts[:count])
        del self._parts[:count]
        self.waiting -= len(chunk)
        if self.waiting <= BODY_BYTES_MAX:
            self.flow.resume_reading()
        return chunk

    def trailers(self) -> list[Header]:
        return self.came

    # --- the response --------------------------------------------------------------------------------

    @property
    def takes_trailers(self) -> bool:
        """Whether the client wants them (RFC 9110, 10.1.4); where it has not said so, it may drop them."""
        if self.head.version != "1.1" or "te" not in self.head.read:
            return False
        said = ",".join(self.head.values("te"))
        return any(token.strip().lower() == _TRAILERS for token in said.split(","))

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self.flow.write_paused:
            await self._writable()
        if self.disconnected:
            return
        head = self._head(status, headers, len(body))
        self.transport.send(head + self._framed(body, True))
        self._complete()

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._writable()
        if not self.disconnected:
            self.transport.write(self._head(status, headers, None))

    async def write(self, chunk: bytes) -> None:
        await self._writable()
        if not self.disconnected:
            self.transport.write(self._framed(chunk, False))

    async def finish(self, trailers: list[Header]) -> None:
        await self._writable()
        if not self.disconnected:
            self.transport.write(self._framed(b"", True, trailers))
            self._complete()

    async def _writable(self) -> None:
        """Waits while the client takes no more."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()

    def _head(self, status: int, headers: list[tuple[bytes, bytes]], length: int | None) -> bytes:
        """The head of the response; from here on it is known how its body is framed.

        Args:
            status: Of the response.
            headers: Likewise.
            length: Of its body, in bytes, where all of it is there.
        """
        if self.waiting_for_100_continue:
            self.keep_alive = False  # nobody can tell whether the body follows
            self.waiting_for_100_continue = False
        self.started = True
        parts = [STATUS_LINE[status], own_lines(headers)]
        for name, value in headers:
            if name == b"content-length":
                self._left = int(value)
            elif name == b"connection":
                self.keep_alive = False  # the only one that there is says close
                continue
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        if self.head.method == "HEAD" or status in NO_BODY:
            self._left = 0  # whatever its content-length would be
        elif self._left is None and length is not None:
            self._left = length
            parts.append(b"content-length: %d\r\n" % length)
        elif self._left is None and self.head.version == "1.1":  # else the connection's end is the body's
            self._chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    def _framed(self, chunk: bytes, last: bool, trailers: Sequence[Header] = ()) -> bytes:
        """A piece of the body as it is sent."""
        if self.head.method == "HEAD":
            return b""
        if self._chunked:
            sent = b"".join((b"%x\r\n" % len(chunk), chunk, b"\r\n")) if chunk else b""
            return sent + b"0\r\n" + _lines(trailers) + b"\r\n" if last else sent
        if self._left is not None:
            self._left -= len(chunk)
            if self._left < 0 or (last and self._left):
                raise RuntimeError("the response's body is not as long as its content-length says")
        return chunk

    def _complete(self) -> None:
        self.response_complete = True
        if self.more_body:
            self.message_event.set()
        self.last = not self.keep_alive
        if self.last and not self.more_body:
            self.transport.close()  # else its owner ends it, who reads what still comes
        self.on_response()


def _lines(trailers: Sequence[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % (name.encode("latin-1"), value) for name, value in trailers])
