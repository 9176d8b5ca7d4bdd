"""A request of HTTP/2 and its response: one stream of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from h2.connection import H2Connection
from h2.errors import ErrorCodes

from lath.http import Header
from lath_providers.http_server.exchange import Refusal, RequestHead
from lath_providers.http_server.replies import NO_BODY, own_headers


class Http2Exchange:
    """Implements `exchange.Exchange`.

    What has come of the body is acknowledged, and the client sends more, once it was read; so a stream that
    nobody reads holds at most its window, and holds up no other.

    Args:
        stream_id: The stream.
        head: The request's.
        h2: The connection's state; used by its owner on the same event loop.
        flush: Sends what `h2` has to send.
        writable: Waits while the connection takes no more.
        stall_s: How long the client may keep a read or a write waiting.

    Attributes:
        task: What handles it, once it has begun.
        came: The request's trailers.
        unread: Whether more of the request is to come.
        takes_trailers: Every client does: they are a part of the version.
    """

    takes_trailers = True
    task: asyncio.Task[None]

    def __init__(
        self,
        stream_id: int,
        head: RequestHead,
        h2: H2Connection,
        flush: Callable[[], None],
        writable: Callable[[], Awaitable[object]],
        stall_s: float,
    ) -> None:
        self.head = head
        self.came: list[Header] = []
        self.unread = head.has_body
        self.started = False
        self._id = stream_id
        self._h2 = h2
        self._flush = flush
        self._writable = writable
        self._stall_s = stall_s
        self._body = bytearray()
        self._unacknowledged = 0
        self._change: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._continue = "100-continue" in head.values("expect")
        self._gone = False
        self._finished = False

    # --- what its connection tells it ----------------------------------------------------------------

    def begin(self, task: asyncio.Task[None]) -> None:
        """`task` handles it."""
        self.task = task

    def feed(self, data: bytes, flow_controlled_bytes: int) -> None:
        """More of the body has come."""
        if data:
            self._body += data
            self._unacknowledged += flow_controlled_bytes
            _wake(self._change)
        elif flow_controlled_bytes:  # padding alone: nobody reads it
            self._h2.acknowledge_received_data(flow_controlled_bytes, self._id)
            self._flush()

    def end(self) -> None:
        """All of the request has come."""
        self.unread = False
        _wake(self._change)

    def window_opened(self) -> None:
        """The client may take more."""
        _wake(self._room)

    def lost(self) -> None:
        """The client has reset the stream, or is gone."""
        self._gone = True
        _wake(self._change)
        if not self._finished:
            self.task.cancel()

    def close(self) -> None:
        """Its handler has ended."""
        if not self._finished:
            self.reset()
        self._body.clear()
        self._acknowledge()

    # --- Exchange ------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        if self._continue and not self.started and not self._gone:
            self._continue = False
            self._h2.send_headers(self._id, [(b":status", b"100")])
            self._flush()
        if self._awaits_more():
            await self._in_time(self._more(), "the request's body took too long")
        if self._gone:
            raise Refusal(400, "the request's body was broken off")
        return self._taken()

    def take(self) -> bytes:
        return b"" if self._continue or self._gone or not self._body else self._taken()

    def _taken(self) -> bytes:
        body = bytes(self._body)
        self._body.clear()
        self._acknowledge()
        return body

    def trailers(self) -> list[Header]:
        return self.came

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self.head.method != "HEAD" and status not in NO_BODY and b"content-length" not in dict(headers):
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self.start(status, headers)
        await self.write(body)
        await self.finish([])

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        fields = [(b":status", b"%d" % status), *own_headers(headers), *headers]
        self._h2.send_headers(self._id, fields)
        self.started = True
        self._flush()

    async def write(self, chunk: bytes) -> None:
        if self.head.method == "HEAD":
            return
        rest = memoryview(chunk)
        while rest:
            await self._writable()
            window = self._h2.local_flow_control_window(self._id)
            size = min(len(rest), window, self._h2.max_outbound_frame_size)
            if size <= 0:
                await self._in_time(self._window(), "the response was not taken")
                continue
            self._h2.send_data(self._id, bytes(rest[:size]))
            self._flush()
            rest = rest[size:]

    async def finish(self, trailers: list[Header]) -> None:
        if trailers:
            fields = [(name.encode("latin-1"), value) for name, value in trailers]
            self._h2.send_headers(self._id, fields, end_stream=True)
        else:
            self._h2.end_stream(self._id)
        if self.unread:  # the response is whole: the rest of the request is of no use (RFC 9113, 8.1)
            self._h2.reset_stream(self._id, ErrorCodes.NO_ERROR)
        self._flush()
        self._finish()

    def reset(self) -> None:
        if not self._gone:
            self._h2.reset_stream(self._id, ErrorCodes.INTERNAL_ERROR)
            self._flush()
        self._finish()

    # --- inside --------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The stream is closed here: who still reads the request gets an error."""
        self._finished = self._gone = True
        _wake(self._change)

    def _awaits_more(self) -> bool:
        return not self._body and self.unread and not self._gone

    async def _more(self) -> None:
        """Until something of the body has come, or its end. Frames with nothing in them win no time."""
        while self._awaits_more():
            self._change = asyncio.get_running_loop().create_future()
            await self._change

    async def _window(self) -> None:
        """Until the client takes more of this response. What it takes of others wins no time."""
        while self._h2.local_flow_control_window(self._id) <= 0:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def _in_time(self, change: Awaitable[None], otherwise: str) -> None:
        try:
            async with asyncio.timeout(self._stall_s):
                await change
        except TimeoutError:
            raise Refusal(408, otherwise) from None

    def _acknowledge(self) -> None:
        size, self._unacknowledged = self._unacknowledged, 0
        if size:
            self._h2.acknowledge_received_data(size, self._id)
            self._flush()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
