"""A new connection, until it is known which version of HTTP its client speaks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, cast

from lath_providers.http_server.deadline import Deadline
from lath_providers.http_server.exchange import Front
from lath_providers.http_server.frame_lengths import PREFACE
from lath_providers.http_server.http1 import Http1Connection
from lath_providers.http_server.http2 import Http2Connection
from lath_providers.http_server.tls import HTTP2

TLS_SHUTDOWN_S: Final = 5.0
"""How long a client may take to say goodbye."""


class Greeting(asyncio.Protocol):
    """Hands the connection over: by ALPN where there is TLS, else by the first bytes.

    TLS is begun here, not by the server's own sockets: theirs are told of once the handshake is over, and
    until then nobody would count them.

    Args:
        front: Its listener's.
        has_room: Whether one more connection may be open.
        tls: What it is encrypted with; None: it is not.
    """

    def __init__(self, front: Front, has_room: Callable[[], bool], tls: ssl.SSLContext | None) -> None:
        self._front = front
        self._has_room = has_room
        self._tls = tls
        self._handshake: asyncio.Task[None] | None = None
        self._lost = False
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._deadline = Deadline(self._transport.close)
        admitted = not self._front.closing and self._has_room()
        self._front.opened(self)
        if not admitted:
            self._transport.abort()
        elif self._tls is None:
            self._deadline.set(self._front.settings.idle_timeout_ms / 1000)
        else:
            self._handshake = asyncio.get_running_loop().create_task(self._shake_hands(self._tls))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._front.closed(self)
        self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._handshake is not None:
            return  # it is over, and its task goes on in a moment
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

    async def _shake_hands(self, tls: ssl.SSLContext) -> None:
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport, self, tls, server_side=True,
                ssl_handshake_timeout=self._front.settings.header_timeout_ms / 1000,
                ssl_shutdown_timeout=TLS_SHUTDOWN_S,
            )  # fmt: skip
        except OSError:  # it speaks no TLS, or another, or not in time; or it is gone
            self._front.closed(self)
            return
        if self._lost or transport is None:  # None: it was closed by this side meanwhile
            self._front.closed(self)
            return
        self._transport = transport
        spoken = cast(ssl.SSLObject, transport.get_extra_info("ssl_object"))
        self._hand_over(http2=spoken.selected_alpn_protocol() == HTTP2)

    def _hand_over(self, *, http2: bool) -> None:
        speaks = Http2Connection(self._front) if http2 else Http1Connection(self._front)
        self._deadline.cancel()
        self._transport.set_protocol(speaks)
        speaks.connection_made(self._transport)
        self._front.closed(self)
        if self._seen:
            speaks.data_received(self._seen)
