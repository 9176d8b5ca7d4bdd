"""What a server counts about its calls; NATS micro's STATS shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class CallStats:
    """Counters since the start.

    Attributes:
        requests: Calls that ran to an end.
        errors: Those of them that failed.
        refused: Messages that were not taken as calls: malformed, draining, overloaded, without a reply.
        processing_ns: Time spent in them, nanoseconds.
        last_error: The kind of the last failure; empty before the first.
        started_ns: Wall clock at the start, nanoseconds since the epoch.
    """

    requests: int = 0
    errors: int = 0
    refused: int = 0
    processing_ns: int = 0
    last_error: str = ""
    started_ns: int = field(default_factory=time.time_ns)

    def record(self, kind: str, duration_ns: int) -> None:
        self.requests += 1
        self.processing_ns += duration_ns
        if kind != "ok":
            self.errors += 1
            self.last_error = kind
