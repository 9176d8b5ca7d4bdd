"""A client of HTTP/2 that a test may have misbehave: h2's state machine on a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from http_front import Answer
from hyperframe.frame import DataFrame, Frame, GoAwayFrame


class Http2Client:
    """One connection. What the server sends is read by a task.

    Attributes:
        h2: The state.
        terminated: The server's GOAWAY.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, bytewise: bool) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self.terminated: GoAwayFrame | None = None
        self._reader = reader
        self._writer = writer
        self._bytewise = bytewise
        self._streams: dict[int, Stream] = {}
        self._changed = asyncio.Condition()
        self._gone = False
        self._task: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def to(
        cls,
        port: int,
        tls: ssl.SSLContext | None = None,
        *,
        bytewise: bool = False,
        window_bytes: int = 0,
        receive_bytes: int = 0,
    ) -> AsyncIterator[Http2Client]:
        """Connects; by ALPN with `tls`, by prior knowledge without."""
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        name = "localhost" if tls else None
        raw = socket.socket()
        raw.setblocking(False)
        if receive_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        client = cls(
            *await asyncio.open_connection(sock=raw, ssl=tls, server_hostname=name), bytewise=bytewise
        )
        if window_bytes:
            client.h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window_bytes
            client.h2.local_settings.acknowledge()
        client.h2.initiate_connection()
        await client.flush()
        client._task = asyncio.create_task(client._read())
        try:
            yield client
        finally:
            client._task.cancel()
            await asyncio.wait({client._task})
            client._writer.transport.abort()
            with contextlib.suppress(OSError):
                await client._writer.wait_closed()

    async def flush(self) -> None:
        if self._bytewise:
            async with self._changed:
                for byte in self.h2.data_to_send():
                    self._writer.write(bytes([byte]))
                    await self._writer.drain()
                    await asyncio.sleep(0)
        elif data := self.h2.data_to_send():
            self._writer.write(data)
            await self._writer.drain()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: list[tuple[str, str]] | None = None,
        end: bool = True,
        beyond_limits: bool = False,
    ) -> Stream:
        """Sends the head of a request."""
        if beyond_limits:
            self.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 2**31 - 1
            self.h2.remote_settings.acknowledge()
        stream = Stream(self, self.h2.get_next_available_stream_id())
        self._streams[stream.id] = stream
        pseudo = [(":method", method), (":authority", "localhost")]
        if method != "CONNECT":
            pseudo += [(":scheme", "http"), (":path", path)]
        try:
            self.h2.send_headers(stream.id, [*pseudo, *(headers or [])], end_stream=end)
            await self.flush()
        except (ProtocolError, ConnectionError):
            if not beyond_limits and self.terminated is None and not self._gone:
                raise
        return stream

    def reset(self, stream_id: int) -> None:
        with contextlib.suppress(ProtocolError):  # it has ended meanwhile
            self.h2.reset_stream(stream_id)
        self._writer.write(self.h2.data_to_send())

    async def drain(self) -> None:
        await self._writer.drain()

    def raw(self, data: bytes) -> None:
        self._writer.write(data)

    def raw_data(self, stream_id: int, data: bytes) -> None:
        """Sends a DATA frame past the state, which knows better."""
        self._writer.write(DataFrame(stream_id, data).serialize())

    def deaf(self) -> None:
        """Reads no more."""
        assert self._task is not None
        self._task.cancel()
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def closed(self) -> GoAwayFrame:
        """Waits until the server has closed the connection. Returns its GOAWAY."""
        await self.until(lambda: self._gone)
        return self.terminated or GoAwayFrame(0, error_code=-1)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)

    async def _read(self) -> None:
        try:
            while frame := await self._frame():
                for event in self.h2.receive_data(frame):
                    self._take(event)
                await self.flush()
                async with self._changed:
                    self._changed.notify_all()
        except (ConnectionError, ProtocolError, asyncio.IncompleteReadError):
            pass
        finally:
            self._gone = True
            async with self._changed:
                self._changed.notify_all()

    async def _frame(self) -> bytes:
        """The next frame. A GOAWAY is kept from h2, which would take nothing more after it."""
        while True:
            head = await self._reader.readexactly(9)
            frame, length = Frame.parse_frame_header(memoryview(head))
            body = await self._reader.readexactly(length)
            if not isinstance(frame, GoAwayFrame):
                return head + body
            frame.parse_body(memoryview(body))
            self.terminated = frame
            async with self._changed:
                self._changed.notify_all()

    def _take(self, event: Any) -> None:
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        if isinstance(event, ResponseReceived):
            stream.headers = [(str(name), str(value)) for name, value in event.headers]
        elif isinstance(event, DataReceived):
            stream._body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            stream.trailers = [(str(name), str(value)) for name, value in event.headers]
        elif isinstance(event, StreamEnded):
            stream.whole = True
        elif isinstance(event, StreamReset):
            stream.reset_code = event.error_code


class Stream:
    """A request and its response."""

    def __init__(self, client: Http2Client, stream_id: int) -> None:
        self.id = stream_id
        self.headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self.trailers: list[tuple[str, str]] = []
        self.whole = False
        self.reset_code: int | None = None
        self._client = client

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Sends more of the body, as the server's windows let it."""
        h2, client = self._client.h2, self._client
        while data:
            size = min(len(data), h2.local_flow_control_window(self.id), h2.max_outbound_frame_size)
            if size == 0:
                await client.until(lambda: h2.local_flow_control_window(self.id) > 0)
                continue
            h2.send_data(self.id, data[:size])
            await client.flush()
            data = data[size:]
        if end:
            await self.end()

    async def end(self, trailers: list[tuple[str, str]] | None = None) -> None:
        if trailers:
            self._client.h2.send_headers(self.id, trailers, end_stream=True)
        else:
            self._client.h2.end_stream(self.id)
        await self._client.flush()

    async def ended(self) -> None:
        """Waits for the end of the response, or its reset."""
        await self._client.until(lambda: self.whole or self.reset_code is not None or self._client._gone)

    async def answer(self, *, broken_off: bool = False) -> Answer:
        await self.ended()
        assert self.whole or broken_off, f"reset with {self.reset_code!r}"
        status = int(dict(self.headers).get(":status", "0"))
        return Answer(status, [field for field in self.headers if not field[0].startswith(":")], self.body)
