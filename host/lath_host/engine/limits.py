"""What the instances of one component may use, and the figures of how they do."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from lath.errors import InvalidArgument

_UNBOUNDED: Final = sys.maxsize


@dataclass(frozen=True, slots=True)
class Limits:
    """What the instances of one component may use.

    Attributes:
        max_instances: Calls that run at once.
        queue_max: Calls that may wait for one of those to end; more are refused at once.
        memory_bytes_max: Size of each linear memory.
        timeout_ms: How long a call may take, the time in the queue included, when it does not say.
        fuel_max: Fuel of one call (about one per instruction); None: not counted, which is faster.
        warm_instances: Instances made ahead.
        reuse: Whether an instance serves further calls after its first, one at a time.
        calls_max: Calls that one instance serves before it is replaced; None: as many as come. Needs `reuse`.
        idle_seconds: How long an instance may wait for its next call before it is dropped; None: for ever.
            Needs `reuse`.
        cpu_weight: Slices that its busy calls together get where another component's get one.
        lease_seconds: How long an instance whose resources callers hold handles of is kept without a call or
            a renewal.
    """

    max_instances: int = 100
    queue_max: int = 1000
    memory_bytes_max: int = 256 * 1024 * 1024
    timeout_ms: int = 10_000
    fuel_max: int | None = None
    warm_instances: int = 4
    reuse: bool = False
    calls_max: int | None = None
    idle_seconds: int | None = None
    cpu_weight: int = 1
    lease_seconds: int = 60

    def __post_init__(self) -> None:
        for name in ("max_instances", "memory_bytes_max", "timeout_ms", "cpu_weight", "lease_seconds"):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"limit {name}: expected at least 1, got {getattr(self, name)}")
        for name in ("queue_max", "warm_instances"):
            if getattr(self, name) < 0:
                raise InvalidArgument(f"limit {name}: expected at least 0, got {getattr(self, name)}")
        for name in ("fuel_max", "calls_max", "idle_seconds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidArgument(f"limit {name}: expected at least 1 or none, got {value}")
        for name in ("calls_max", "idle_seconds"):
            if getattr(self, name) is not None and not self.reuse:
                raise InvalidArgument(f"limit {name} bounds instances that are reused: set reuse as well")

    @property
    def calls_per_instance(self) -> int:
        """How many calls one instance serves; a count that it reaches is its last."""
        return (self.calls_max or _UNBOUNDED) if self.reuse else 1


@dataclass(slots=True)
class PoolStats:
    """Figures of a pool.

    Attributes:
        running: Calls that hold an instance, and instances that are pinned without one.
        queued: Calls that wait for one.
        idle: Instances that wait for a call.
        calls: Calls that got an instance, ever.
        failures: Those among them that ended in an error.
        pinned: Instances that are kept for callers who hold handles of their resources.
        calls_fused: Those among the calls that ran fused with other components.
    """

    running: int = 0
    queued: int = 0
    idle: int = 0
    calls: int = 0
    failures: int = 0
    pinned: int = 0
    calls_fused: int = 0
