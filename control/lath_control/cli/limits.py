"""A component's limits, read from the options of `lath start component`."""

from __future__ import annotations

import math
from typing import Any, Final

from lath.model import ComponentLimits, FuseMode
from lath_control.cli.params import duration_ms, from_options, size_bytes

OPTIONS: Final = {
    "memory_bytes_max": "--memory (bytes)",
    "timeout_ms": "--call-timeout (milliseconds)",
    "fuel_max": "--fuel",
    "queue_max": "--queue",
    "warm_instances": "--warm",
    "reuse": "--reuse",
    "calls_max": "--calls-max",
    "idle_seconds": "--idle (seconds)",
    "cpu_weight": "--cpu-weight",
    "fuse": "--fuse",
    "lease_seconds": "--lease (seconds)",
}
"""By field, how its option is called, and in what unit it is counted there."""


def limits(
    *,
    memory: str | None = None,
    timeout: str | None = None,
    fuel: int | None = None,
    queue: int | None = None,
    warm: int | None = None,
    reuse: bool = False,
    calls: int | None = None,
    idle: str | None = None,
    weight: int | None = None,
    fuse: FuseMode | None = None,
    lease: str | None = None,
) -> ComponentLimits | None:
    """A component's limits; None where nothing is given.

    Raises:
        InvalidArgument: One is malformed or makes no sense; the message names its option.
    """
    given: dict[str, Any] = {
        "memory_bytes_max": None if memory is None else size_bytes(memory, "--memory"),
        "timeout_ms": None if timeout is None else duration_ms(timeout, "--call-timeout"),
        "fuel_max": fuel,
        "queue_max": queue,
        "warm_instances": warm,
        "reuse": True if reuse else None,
        "calls_max": calls,
        "idle_seconds": None if idle is None else _seconds(idle, "--idle"),
        "cpu_weight": weight,
        "fuse": fuse,
        "lease_seconds": None if lease is None else _seconds(lease, "--lease"),
    }
    given = {key: value for key, value in given.items() if value is not None}
    return from_options(ComponentLimits, given, OPTIONS) if given else None


def _seconds(text: str, option: str) -> int:
    return math.ceil(duration_ms(text, option) / 1000)
