"""A new connection, until it is known which version of HTTP its client speaks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from lath_providers.http_server.deadline import Deadline
from lath_providers.http_server.exchange import Front
from lath_providers.http_server.frame_lengths import PREFACE
from lath_providers.http_server.http1 import Http1Connection
from lath_providers.http_server.http2 import Http2Connection
from lath_providers.http_server.tls import HTTP2


class Greeting(asyncio.Protocol):
    """Hands the connection over: by ALPN where there is TLS, else by the first bytes.

    Args:
        front: Its listener's.
        has_room: Whether one more connection may be open.
    """

    def __init__(self, front: Front, has_room: Callable[[], bool]) -> None:
        self._front = front
        self._has_room = has_room
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._deadline = Deadline(self._transport.close)
        admitted = not self._front.closing and self._has_room()
        self._front.opened(self)
        tls = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
        if not admitted:
            self._transport.abort()
        elif tls is None:
            self._deadline.set(self._front.settings.idle_timeout_ms / 1000)
        else:
            self._hand_over(http2=tls.selected_alpn_protocol() == HTTP2)

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.closed(self)
        self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._seen.startswith(PREFACE):
            self._hand_over(http2=True)
        elif not PREFACE.startswith(self._seen):
            self._hand_over(http2=False)
        else:
            self._deadline.set(self._front.settings.header_timeout_ms / 1000)

    def shutdown(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _hand_over(self, *, http2: bool) -> None:
        speaks = Http2Connection(self._front) if http2 else Http1Connection(self._front)
        self._deadline.cancel()
        self._transport.set_protocol(speaks)
        speaks.connection_made(self._transport)
        self._front.closed(self)
        if self._seen:
            speaks.data_received(self._seen)
