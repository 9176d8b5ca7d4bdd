"""What a handler is given: one call that came in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from lath.rpc.header import CallHeader
from lath.rpc.streams import IncomingStream
from lath.subjects import CallSubject
from lath.telemetry import TraceContext


def _nothing() -> None:
    return None


@dataclass(slots=True)
class IncomingCall:
    """A call.

    Attributes:
        subject: Who calls what, over which link.
        header: Its id, time left on arrival, revision and versions.
        payload: The packed parameters.
        deadline: When its caller gives up; time of the event loop, seconds.
        trace: The caller's trace context, or None. It is also the current one while the handler runs.
        near: Beside which resource one that it makes is to live (`HEADER_NEAR`); empty: beside none.
        stream: What follows the payload, where the caller has announced it. Closed when the call has ended.
        last: To be called where the deadline does not hold any more, since the stream is read
            (`Following.lasts`): the caller ends the call then.
    """

    subject: CallSubject
    header: CallHeader
    payload: bytes
    deadline: float
    trace: TraceContext | None
    near: str = ""
    stream: IncomingStream | None = None
    last: Callable[[], None] = _nothing


class StreamBody(Protocol):
    """Chunks of bytes. Iterated to their end, or closed."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """Wants no more of it."""


@dataclass(frozen=True, slots=True)
class Following:
    """What follows a message as a stream.

    Attributes:
        chunks: Of any size. Closed by who sends them, whatever comes of it.
        after: Asked, at their end, for what is sent with it; 256 KiB at most.
        lasts: Whether the call's time-out ends once the other end reads them; its caller then has its own.
    """

    chunks: StreamBody
    after: Callable[[], bytes]
    lasts: bool = False


@dataclass(frozen=True, slots=True)
class Streamed:
    """A result that goes on as a stream.

    Attributes:
        payload: What goes with the reply's message, 512 KiB at most.
        body: What follows it.
    """

    payload: bytes
    body: Following


Handler: TypeAlias = Callable[[IncomingCall], Awaitable[bytes | Streamed]]
"""Serves a call: returns the packed result, or raises a `LathError`."""
