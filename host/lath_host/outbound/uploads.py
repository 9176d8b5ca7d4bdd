"""The body of a request on its way out: sent as the guest writes it, while the other side keeps its time."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import Payload

from lath.http import Header
from lath_host.engine.http.messages import HttpFailure, OutgoingRequest

_LAST_CHUNK: Final = b"0\r\n"


class Patience:
    """How long others may keep a request waiting: while the guest does, nobody is timed.

    Args:
        clock: What ends the request.
        seconds: How long.
    """

    def __init__(self, clock: asyncio.Timeout, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._ended = False

    def start(self) -> None:
        """It is the other side's turn."""
        self._set(asyncio.get_running_loop().time() + self._seconds)

    def stop(self) -> None:
        """It is the guest's turn."""
        self._set(None)

    def end(self) -> None:
        """There is a response."""
        self.stop()
        self._ended = True

    def _set(self, when: float | None) -> None:
        if not self._ended and not self._clock.expired():
            self._clock.reschedule(when)


class Upload(Payload):
    """A request's body, and the trailers after it.

    Args:
        request: Whose. It has a body.
        patience: Told whose turn it is.

    Attributes:
        failure: Why the guest broke it off.
        written: Whether all of it has been.
    """

    def __init__(self, request: OutgoingRequest, patience: Patience) -> None:
        assert request.body is not None
        super().__init__(request.body)
        self.failure: HttpFailure | None = None
        self.written = False
        self._body = request.body
        self._trailers = request.trailers
        self._patience = patience

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Not for a body that comes bit by bit."""
        raise TypeError("the body of a request is read once, as it is sent")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Sends it (aiohttp.Payload)."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Sends it (aiohttp.Payload).

        A body that is not of `content_length` bytes fails by itself (`bodies.Pipe`).
        """
        self._consumed = True  # so that aiohttp does not send the request again without it
        if self._body.empty:
            writer.send_headers()  # the guest may wait for the response before it writes
        try:
            while (chunk := await self._next()) is not None:
                await writer.write(chunk)
            if self._trailers and isinstance(writer, StreamWriter) and writer.chunked:
                writer.chunked = False  # what follows is the end in full, and aiohttp adds nothing to it
                await writer.write(_LAST_CHUNK + b"".join(map(_line, self._trailers)) + b"\r\n")
            self.written = True
        finally:
            self._body.close()

    async def _next(self) -> bytes | None:
        self._patience.stop()
        try:
            return await anext(self._body, None)
        except HttpFailure as failure:
            self.failure = failure
            raise
        finally:
            self._patience.start()

    def stop(self) -> None:
        """Nobody wants any more of it: the guest that writes is told."""
        self._body.close()


def _line(trailer: Header) -> bytes:
    name, value = trailer
    return name.encode("ascii") + b": " + value + b"\r\n"
