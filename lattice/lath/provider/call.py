"""What an operation is told of the call that it serves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from structlog.stdlib import BoundLogger

from lath.provider.link import Link
from lath.telemetry import TraceContext

T = TypeVar("T")


@dataclass(slots=True)
class Call(Generic[T]):
    """One call by one link.

    Attributes:
        link: The link that the call came by, as it was opened.
        held: What `open_link` returned for it.
        source_id: Who calls.
        call_id: Names the call in logs; empty where the caller gave none.
        deadline: Loop time at which the caller gives up; the call is cancelled then. Infinite once an
            operation that is given a stream has begun to read it: its caller bounds each wait by itself then.
        trace: The trace that the call is part of, if any. Spans made while it runs join it by themselves.
        log: A logger that carries the link and the source.
    """

    link: Link
    held: T
    source_id: str
    call_id: str
    deadline: float
    trace: TraceContext | None
    log: BoundLogger = field(repr=False)

    @property
    def ms_left(self) -> float:
        """Milliseconds until the deadline; 0 once it has passed."""
        return max(0.0, (self.deadline - asyncio.get_running_loop().time()) * 1000)
