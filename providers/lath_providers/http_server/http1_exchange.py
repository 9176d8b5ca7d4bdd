"""A request of HTTP/1.x and its response, on uvicorn's cycle of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from lath.http import Header
from lath_providers.http_server.exchange import Refusal, RequestHead


class Http1Exchange:
    """Implements `exchange.Exchange`.

    Args:
        head: The request's.
        stall_s: How long the client may keep a read waiting.
        reset: Breaks the connection.

    Attributes:
        came: The request's trailers, as far as they have come.
        last: Once the response is complete: whether the connection ends with it.
    """

    def __init__(self, head: RequestHead, stall_s: float, reset: Callable[[], None]) -> None:
        self.head = head
        self.came: list[Header] = []
        self.last = False
        self._stall_s = stall_s
        self._reset = reset
        self._cycle: RequestResponseCycle | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: Refusal | None = None
        self._until_close = False

    # --- what its connection tells it ----------------------------------------------------------------

    def begin(self, cycle: RequestResponseCycle, task: asyncio.Task[None]) -> None:
        """Its turn has come; `task` handles it."""
        self._cycle, self._task = cycle, task

    @property
    def unread(self) -> bool:
        """Whether more of the request is to come."""
        return self._cycle is None or self._cycle.more_body

    def fail(self, why: Refusal) -> None:
        """The rest of the body is malformed."""
        self._failure = why
        if self._cycle is not None:
            self._cycle.keep_alive = False
            self._cycle.message_event.set()

    def lost(self) -> None:
        """The client is gone."""
        cycle = self._now()
        cycle.disconnected = True
        cycle.message_event.set()
        if self._task is not None and not cycle.response_complete:
            self._task.cancel()

    # --- Exchange ------------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        return self._now().response_started

    async def read(self) -> bytes:
        cycle = self._now()
        while cycle.body or cycle.more_body:
            if self._failure is not None:
                raise self._failure
            if cycle.message_event.is_set():
                message = await cycle.receive()
            else:
                try:
                    async with asyncio.timeout(self._stall_s):
                        message = await cycle.receive()
                except TimeoutError:
                    raise Refusal(408, "the request's body took too long") from None
            if message["type"] != "http.request":
                raise Refusal(400, "the request's body was broken off")
            if message["body"]:
                return message["body"]
        return b""

    def trailers(self) -> list[Header]:
        return self.came

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        cycle = self._now()
        if cycle.waiting_for_100_continue:
            cycle.keep_alive = False  # nobody can tell whether the body follows
        if self.head.version == "1.0" and not any(name == b"content-length" for name, _ in headers):
            # Such a client knows no chunks: the connection's end is the body's. uvicorn wants a length.
            cycle.chunked_encoding = False
            self._until_close = True
        await cycle.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        cycle = self._now()
        if self._until_close:
            cycle.expected_content_length = len(chunk)
        await cycle.send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def finish(self, trailers: list[Header]) -> None:
        cycle = self._now()
        self.last = not cycle.keep_alive
        if cycle.more_body:
            cycle.keep_alive = True  # the connection is ended by its owner, who reads what still comes
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})

    def reset(self) -> None:
        self._reset()

    def _now(self) -> RequestResponseCycle:
        assert self._cycle is not None, "handled once its turn has come"
        return self._cycle
