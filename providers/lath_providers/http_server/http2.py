"""HTTP/2 connections on h2, the state machine that httpx and hypercorn are built on.

hypercorn's own connections were not enough: while one request's body is not read they read none of the
others, nor the windows that responses wait for; what still comes of a request that was answered ends the
connection and all that runs on it; and a response that breaks off is never reset.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from lath_providers.http_server.deadline import Deadline
from lath_providers.http_server.exchange import LINGER_S, Front, Refusal, peer_name
from lath_providers.http_server.frame_lengths import FrameLengths
from lath_providers.http_server.gathering import GatheringTransport
from lath_providers.http_server.head import head_of_fields
from lath_providers.http_server.http2_exchange import Http2Exchange

STREAMS_MAX: Final = 128
"""Requests at once on a connection; RFC 9113 recommends no less than 100."""
STREAM_WINDOW_BYTES: Final = 256 * 1024
"""What a client may send of one body before somebody reads it."""
CONNECTION_WINDOW_BYTES: Final = 1024 * 1024
"""What it may send of all of its bodies: the memory that one connection takes."""
RESETS_BURST: Final = 1_000
"""Streams that a client may reset at once. A reset frees the stream but not what it has set going, so without
this limit `STREAMS_MAX` is none (CVE-2023-44487)."""
RESETS_PER_SECOND: Final = 33
UNSENT_BYTES_MAX: Final = 1024 * 1024
"""Answers to pings and settings that a client makes come but does not take."""
HEADER_LIST_SLACK: Final = 4
"""A head that is too large is decoded up to so many times the limit, to be answered with 431; beyond that the
connection ends."""


class Http2Connection(asyncio.Protocol):
    """A connection of a client that speaks HTTP/2.

    Args:
        front: Its listener's.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._settings = front.settings
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._overdue)
        self._exchanges: dict[int, Http2Exchange] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._leaving = False
        self._ended = False
        self._requests = 0
        self._resets_left = float(RESETS_BURST)
        self._resets_at = self._loop.time()
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_MAX,
                SettingCodes.MAX_HEADER_LIST_SIZE: self._settings.header_bytes_max,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
            },
        )
        self._lengths = FrameLengths(self._h2.max_inbound_frame_size)
        self._h2.decoder.max_header_list_size = HEADER_LIST_SLACK * self._settings.header_bytes_max

    # --- the connection ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = GatheringTransport(transport)
        self._scheme = "http" if self._transport.get_extra_info("sslcontext") is None else "https"
        self._peer = peer_name(self._transport.get_extra_info("peername"))
        self._front.opened(self)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW_BYTES - self._h2.inbound_flow_control_window)
        self._flush()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.closed(self)
        self._deadline.cancel()
        self._writable.set()
        self._lose_all()

    def shutdown(self) -> None:
        if self._ended:
            return
        if not self._leaving:
            self._leaving = True
            # h2 sends nothing after its own GOAWAY, not even what is left of responses.
            last = self._h2.highest_inbound_stream_id
            self._transport.write(GoAwayFrame(0, last_stream_id=last, error_code=0).serialize())
        if not self._exchanges:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def pause_writing(self) -> None:
        self._writable.clear()
        self._deadline.set(self._settings.stall_timeout_ms / 1000)

    def resume_writing(self) -> None:
        self._writable.set()
        self._wait()

    def _wait(self) -> None:
        """Sets the deadline of what the connection waits for now."""
        if not self._writable.is_set():
            return  # it takes what was sent, or is cut off, whatever it asks for meanwhile
        if self._ended:
            self._deadline.set(LINGER_S)
        elif self._exchanges:
            self._deadline.clear()
        else:
            self._deadline.set(self._settings.idle_timeout_ms / 1000)

    def _overdue(self) -> None:
        if not self._writable.is_set() or self._ended:
            self._transport.abort()
        else:
            self.shutdown()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._transport.write(data)

    # --- reading -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if not self._lengths.fit(data):
            self._h2.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
            self._end(400, "a frame is too long")
            return
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            self._end(400, str(error))
            return
        for event in events:
            self._handle(event)
            if self._ended:
                return
        self._flush()
        if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._transport.abort()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._begin(event)
            case DataReceived():
                exchange = self._exchanges.get(event.stream_id)
                if exchange is not None:
                    exchange.feed(event.data, event.flow_controlled_length)
                else:
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case TrailersReceived():
                if (exchange := self._exchanges.get(event.stream_id)) is not None:
                    self._take_trailers(exchange, event)
            case StreamEnded():
                if (exchange := self._exchanges.get(event.stream_id)) is not None:
                    exchange.end()
            case StreamReset():
                if (exchange := self._exchanges.get(event.stream_id)) is not None:
                    exchange.lost()
                self._count_reset()
            case WindowUpdated() | RemoteSettingsChanged():
                for exchange in self._exchanges.values():
                    exchange.window_opened()
            case ConnectionTerminated():  # h2 sends nothing any more
                self._lose_all()
                self._transport.close()

    def _begin(self, event: RequestReceived) -> None:
        stream_id = event.stream_id
        if self._leaving:
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        ended = event.stream_ended is not None
        try:
            head = head_of_fields(
                [(bytes(name), bytes(value)) for name, value in event.headers],
                scheme=self._scheme, ended=ended, peer=self._peer,
                bytes_max=self._settings.header_bytes_max,
            )  # fmt: skip
        except Refusal as refusal:
            self._refuse(stream_id, refusal, ended)
            return
        exchange = Http2Exchange(
            stream_id,
            head,
            self._h2,
            self._flush,
            self._writable.wait,
            self._settings.stall_timeout_ms / 1000,
        )
        self._exchanges[stream_id] = exchange
        task = self._loop.create_task(self._front.answer(exchange), context=Context())
        exchange.begin(task)
        task.add_done_callback(lambda _: self._forget(stream_id))
        self._wait()
        self._requests += 1
        if self._front.closing or self._requests >= self._settings.requests_per_connection_max:
            self.shutdown()

    def _take_trailers(self, exchange: Http2Exchange, event: TrailersReceived) -> None:
        trailers = [(bytes(name).decode("latin-1"), bytes(value)) for name, value in event.headers]
        if sum(len(name) + len(value) for name, value in trailers) <= self._settings.header_bytes_max:
            exchange.came = trailers
            return
        self._front.refused(self._peer, 431, "the request's trailers are too large")
        self._h2.reset_stream(event.stream_id, ErrorCodes.ENHANCE_YOUR_CALM)
        exchange.lost()

    def _refuse(self, stream_id: int, refusal: Refusal, ended: bool) -> None:
        self._front.refused(self._peer, refusal.status, refusal.reason)
        self._h2.send_headers(stream_id, [(b":status", b"%d" % refusal.status)], end_stream=True)
        if not ended:
            self._h2.reset_stream(stream_id, ErrorCodes.NO_ERROR)

    def _forget(self, stream_id: int) -> None:
        exchange = self._exchanges.pop(stream_id)
        if not self._transport.is_closing() and not self._ended:
            exchange.close()
            if self._leaving and not self._exchanges:
                self._transport.close()
            self._wait()

    def _count_reset(self) -> None:
        now = self._loop.time()
        gained = (now - self._resets_at) * RESETS_PER_SECOND
        self._resets_at = now
        self._resets_left = min(self._resets_left + gained, float(RESETS_BURST)) - 1
        if self._resets_left < 0:
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._end(429, "too many streams were reset")

    def _lose_all(self) -> None:
        """Nobody takes any of the responses."""
        for exchange in list(self._exchanges.values()):
            exchange.lost()

    def _end(self, status: int, reason: str) -> None:
        """Ends the connection, since its client does what it must not; h2 has a GOAWAY that says so."""
        self._front.refused(self._peer, status, reason)
        self._ended = True
        self._lose_all()
        self._flush()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._wait()
