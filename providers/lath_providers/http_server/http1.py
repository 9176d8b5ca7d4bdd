"""HTTP/1.1 connections: uvicorn's protocol on httptools, with what it leaves open closed.

uvicorn bounds neither the size of a head nor the time that it takes to come, reads pipelined requests without
an end, adds trailers to the headers, answers a malformed request in the midst of another's response, and
drops the body of a request that asks for an upgrade. Here none of it is so. The bodies of requests are left
to it; heads are read and responses written here, without the scope and the messages of ASGI.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import struct
from collections import deque
from contextvars import Context
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from lath.http import Header
from lath_providers.http_server.deadline import Deadline
from lath_providers.http_server.exchange import LINGER_S, Front, Refusal, peer_name
from lath_providers.http_server.gathering import GatheringTransport, GuardedFlow
from lath_providers.http_server.head import head_of
from lath_providers.http_server.http1_exchange import BODY_BYTES_MAX, Http1Exchange

SLICE_BYTES: Final = 8 * 1024
"""Parsed at a time, but in the midst of a body whose length is known: as many pipelined requests as fit in it
wait behind the one that runs, and no more."""
FIELD_EXTRA_BYTES: Final = 4
"""Of a header beside its name and value."""
DISCARD_BYTES_MAX: Final = 256 * 1024
"""Read of a body that nobody wants any more, to keep its connection; a longer one ends it."""
HELD_BYTES_MAX: Final = 64 * 1024
"""Read behind a request that runs: reading on is how it is noticed that the client is gone."""

_RESET: Final = struct.pack("ii", 1, 0)
_SILENT: Final = logging.Logger("uvicorn", logging.CRITICAL + 1)


async def _unused(scope: Any, receive: Any, send: Any) -> None:
    """Stands where uvicorn wants an application: requests go another way here."""


@functools.cache
def uvicorn_config() -> Config:
    """The config of uvicorn's protocol; made and loaded once. It imports modules: not on the event loop."""
    config = Config(
        _unused, interface="asgi3", lifespan="off", ws="none", log_config=None, proxy_headers=False
    )
    config.load()
    return config


class Http1Connection(HttpToolsProtocol, asyncio.BufferedProtocol):
    """A connection of a client that speaks HTTP/1.1 or 1.0.

    Args:
        front: Its listener's.
    """

    def __init__(self, front: Front) -> None:
        super().__init__(uvicorn_config(), ServerState(), {}, asyncio.get_running_loop())
        self.logger, self.access_log = _SILENT, False
        self._front = front
        self._settings = front.settings
        self._stall_s = front.settings.stall_timeout_ms / 1000
        self._deadline = Deadline(self._overdue)
        self._peer = self._local = self._scheme = ""
        self._gathering: GatheringTransport
        self._waiting: deque[Http1Exchange] = deque()  # read behind the one that runs
        self._running: Http1Exchange | None = None  # the one whose response is being made
        self._latest: Http1Exchange | None = None  # the one that is being read
        self._held = b""
        self._fields: list[Header] = []
        self._in_head = False
        self._began = False  # a head, in what is being parsed
        self._replaying = False
        self._head_bytes = 0
        self._quiet_bytes = 0
        self._requests = 0
        self._broken: Refusal | None = None
        self._discard_left: int | None = None
        self._ending = False

    # --- the connection ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        gathering = self._gathering = GatheringTransport(transport)
        super().connection_made(gathering)
        self.flow = GuardedFlow(gathering, self._may_read)
        self._front.opened(self)
        self._peer, self._scheme = peer_name(self.client), str(self.scheme)
        self._local = peer_name(self.server)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.closed(self)
        self._deadline.cancel()
        super().connection_lost(exc)
        self._waiting.clear()
        self._held = b""
        if self._running is not None:
            self._running.lost()

    def shutdown(self) -> None:
        if self._running is None:
            self.transport.close()
        else:
            self._last_response()

    def abort(self) -> None:
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wait()

    def _last_response(self) -> None:
        """The responses that are due are the last ones."""
        self.cycle.keep_alive = False

    def _wait(self) -> None:
        """Sets the deadline of what the connection waits for now."""
        if self.flow.write_paused:
            self._deadline.set(self._settings.stall_timeout_ms / 1000)
        elif self._ending:
            self._deadline.set(LINGER_S)
        elif self._running is not None:
            self._deadline.clear()
        elif self._in_head or self._discard_left is not None:
            self._deadline.set(self._settings.header_timeout_ms / 1000)
        else:
            self._deadline.set(self._settings.idle_timeout_ms / 1000)

    def _overdue(self) -> None:
        if self.flow.write_paused:
            self.reset()
        elif self._in_head and self._running is None:
            self._refuse(Refusal(408, "the request's headers took too long"))
        else:
            self.transport.close()

    def reset(self) -> None:
        """Closes so that the client gets an error, whatever it has got before."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    # --- reading -------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._front.room

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._front.room[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._broken is None and not self._ending:
            if self._held or self._waiting or len(data) > SLICE_BYTES:
                self._feed(self._held + data)
            else:
                self._parse(data)

    def _feed(self, data: bytes) -> None:
        """Parses what has come, until a request has to wait for the one before; keeps the rest."""
        self._held = b""
        start = 0
        while start < len(data):
            if self._waiting and self._broken is None:
                self._held = data[start:]
                if len(self._held) >= HELD_BYTES_MAX:
                    self.flow.pause_reading()
                return
            end = start + SLICE_BYTES
            if end < len(data) and self._is_body(data, start):
                end = len(data)
            self._parse(data[start:end])
            if self._broken is not None or self._ending or self.transport.is_closing():
                return
            start = end

    def _is_body(self, data: bytes, start: int) -> bool:
        """Whether all that follows belongs to the body that is being read: no request can begin in it."""
        latest = self._latest
        if latest is None or self._in_head or not latest.more_body or latest.response_complete:
            return False
        length = latest.head.content_length
        return length is not None and latest.came_bytes + len(data) - start <= length

    def _parse(self, data: bytes) -> None:
        self._quiet_bytes += len(data)
        try:
            self.parser.feed_data(data)
            if self._began:
                self._began = False
                if self._in_head:  # most heads come in one piece, and nothing waits for their rest
                    self._wait()
            if self._quiet_bytes > self._settings.header_bytes_max:
                self._fail(_too_large())
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            self._ignore_upgrade()
            if rest:
                self._parse(rest)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, Refusal) else Refusal(400, "the request is malformed"))
        except httptools.HttpParserInvalidMethodError:
            self._fail(Refusal(501 if data[:1].isalpha() else 400, "the method is unknown"))
        except httptools.HttpParserError as error:
            self._fail(Refusal(400, str(error)))

    def _ignore_upgrade(self) -> None:
        """Goes on in HTTP/1.1: the parser has stopped before the body, so another one takes over there."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        if self._latest is not None and self._latest.head.has_body:
            length = self._latest.head.content_length
            framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
            self._replaying = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            self._replaying = False

    def _may_read(self) -> bool:
        return self._ending or (self._broken is None and len(self._held) < HELD_BYTES_MAX)

    # --- what the parser tells -----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._replaying:
            return
        self.url, self._fields = b"", []
        self._in_head, self._head_bytes = True, 0
        self._began = True

    def on_url(self, url: bytes) -> None:
        if not self._replaying:
            self._count(len(url))
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._replaying:
            return
        self._count(len(name) + len(value) + FIELD_EXTRA_BYTES)
        field = name.decode("latin-1").lower(), value
        if self._in_head:
            self._fields.append(field)
        elif self._latest is not None:
            self._latest.came.append(field)

    def on_headers_complete(self) -> None:
        if self._replaying:
            return
        self._quiet_bytes = 0
        parser = self.parser
        version = parser.get_http_version()
        head = head_of(
            version=version, method=parser.get_method().decode("ascii"), scheme=self._scheme,
            target=self.url, headers=self._fields, peer=self._peer, local=self._local,
        )  # fmt: skip
        self._in_head, self._head_bytes = False, 0
        self._requests += 1
        last = self._front.closing or self._requests >= self._settings.requests_per_connection_max
        exchange = self._latest = self.cycle = Http1Exchange(
            head,
            self._stall_s,
            self._gathering,
            self.flow,
            not last and version == "1.1" and parser.should_keep_alive(),
            self.on_response_complete,
            self.reset,
        )
        if self._running is None:
            self._start(exchange)
        else:
            self._waiting.append(exchange)

    def _start(self, exchange: Http1Exchange) -> None:
        self._running = exchange
        exchange.begin(self.loop.create_task(self._front.answer(exchange), context=Context()))
        self._wait()

    def on_body(self, body: bytes) -> None:
        self._quiet_bytes = 0
        if self._discard_left is not None:
            self._discard_left -= len(body)
            if self._discard_left < 0:
                self._end()
        elif self._latest is not None and self._latest.feed(body) > BODY_BYTES_MAX:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        exchange = self._latest
        if self._replaying or exchange is None:
            return
        if exchange.head.has_body and self.parser.should_upgrade():
            return  # the parser has stopped before the body
        self._quiet_bytes = 0
        if self._discard_left is not None:
            self._discard_left = None
            self._wait()
        else:
            exchange.more_body = False
            if exchange.head.has_body:
                exchange.message_event.set()

    def _should_upgrade(self) -> bool:
        """Asked by uvicorn's protocol: there are no WebSockets."""
        return False

    def _count(self, size: int) -> None:
        """Counts what has come of a head, or of trailers."""
        self._quiet_bytes = 0
        self._head_bytes += size
        if self._head_bytes > self._settings.header_bytes_max:
            raise _too_large()

    # --- between requests ----------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        exchange, self._running = self._running, None
        if self.transport.is_closing() or exchange is None:
            return
        if self._waiting:
            self._start(self._waiting.popleft())
        elif exchange.last:
            self._end()
            return
        elif self._broken is not None:
            self._refuse(self._broken)
            return
        elif exchange.more_body:
            self._discard_left = DISCARD_BYTES_MAX
        self._wait()
        if self._held:
            held, self._held = self._held, b""
            self._feed(held)
        if self.flow.read_paused:
            self.flow.resume_reading()

    def _fail(self, refusal: Refusal) -> None:
        """Takes no more requests: what has come is no HTTP. Those before it are answered first."""
        self._broken, self._held = refusal, b""
        running, latest = self._running, self._latest
        if running is None:
            self._refuse(refusal)
        elif running is latest and running.unread:
            running.fail(refusal)
        else:
            self.flow.pause_reading()

    def _refuse(self, refusal: Refusal) -> None:
        """Answers what never became a request, and ends the connection."""
        self._front.refused(self._peer, refusal.status, refusal.reason)
        text = f"{refusal.reason}\n".encode()
        self.transport.write(
            STATUS_LINE[refusal.status] + b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(text), text)
        )
        self._end()

    def _end(self) -> None:
        """Sends the end, and reads on for a moment, so that what was sent arrives."""
        self._ending = True
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._wait()


def _too_large() -> Refusal:
    return Refusal(431, "the request's headers are too large")
