"""What a handler is given: one call that came in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from lath.rpc.header import CallHeader
from lath.subjects import CallSubject
from lath.telemetry import TraceContext


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
    """

    subject: CallSubject
    header: CallHeader
    payload: bytes
    deadline: float
    trace: TraceContext | None
    near: str = ""


Handler: TypeAlias = Callable[[IncomingCall], Awaitable[bytes]]
"""Serves a call: returns the packed result, or raises a `LathError`."""
