"""What the calls of one component have used: counted for each, summed up, told to its span.

CPU time is what the polls of a guest took: on the loop by the clock, since a poll there runs at once; in a
thread by the thread's own CPU clock, which does not count the time that other threads had the core. The CPU
clock is ten times dearer to read, which a call of a few microseconds would feel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lath import telemetry
from lath.telemetry import metrics

_NS_PER_MS: Final = 1_000_000
HOST_CALLS_PREFIX: Final = "host_calls."
"""Of the totals by interface, among the other totals."""


@dataclass(frozen=True, slots=True)
class CallUsage:
    """What one call used.

    Attributes:
        wall_ns: From its arrival at the pool to its end, the queue included.
        cpu_ns: In which the guest was polled.
        fuel: Used up; None where it is not metered.
        memory_limited: Whether it ended because it was denied memory.
        host_calls: Calls of imports, by interface.
    """

    wall_ns: int
    cpu_ns: int
    fuel: int | None
    memory_limited: bool
    host_calls: Mapping[str, int]


@dataclass(slots=True)
class Usage:
    """Sums over all calls of one component.

    Attributes:
        wall_ns: Time from the arrival of each call to its end.
        cpu_ns: Time in which guests were polled, their start included.
        fuel: Used up, where it is metered.
        memory_limit_hits: Calls that ended because they were denied memory.
        instances: Made, ever.
        bytes_in: Of parameters that came over the bus, and of results of imports that were called over it.
        bytes_out: Of results that went over the bus, and of parameters of such imports.
        host_calls: Calls of imports, by interface.
    """

    wall_ns: int = 0
    cpu_ns: int = 0
    fuel: int = 0
    memory_limit_hits: int = 0
    instances: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    host_calls: dict[str, int] = field(default_factory=dict)

    def add(
        self, wall_ns: int, cpu_ns: int, fuel: int, memory_limited: bool, host_calls: Mapping[str, int]
    ) -> None:
        """Counts a call; see `CallUsage`."""
        self.wall_ns += wall_ns
        self.cpu_ns += cpu_ns
        self.fuel += fuel
        self.memory_limit_hits += memory_limited
        self.called(host_calls)

    def called(self, host_calls: Mapping[str, int]) -> None:
        """Counts the imports that a call has called, by interface."""
        sums = self.host_calls
        for interface, count in host_calls.items():
            sums[interface] = sums.get(interface, 0) + count

    def made(self, cpu_ns: int) -> None:
        """Counts an instance, and what starting it took."""
        self.instances += 1
        self.cpu_ns += cpu_ns

    def measured(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        """The sums, as the metrics read them: (instrument, values of its attributes, sum)."""
        yield metrics.CPU, (), self.cpu_ns / _NS_PER_MS
        yield metrics.FUEL, (), self.fuel
        yield metrics.MEMORY_LIMIT_HITS, (), self.memory_limit_hits
        yield metrics.BYTES, ("in",), self.bytes_in
        yield metrics.BYTES, ("out",), self.bytes_out
        for interface, count in list(self.host_calls.items()):
            yield metrics.HOST_CALLS, (interface,), count

    def totals(self) -> dict[str, int]:
        """The sums, by name, as an inventory shows them; times in milliseconds."""
        return {
            "wall_ms": self.wall_ns // _NS_PER_MS,
            "cpu_ms": self.cpu_ns // _NS_PER_MS,
            "fuel": self.fuel,
            "memory_limit_hits": self.memory_limit_hits,
            "instances": self.instances,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "host_calls": sum(self.host_calls.values()),
            **{f"{HOST_CALLS_PREFIX}{name}": count for name, count in sorted(self.host_calls.items())},
        }


def tell(call: CallUsage) -> None:
    """Adds what a call used to the span around it."""
    span = telemetry.current_span()
    span.set("lath.cpu_ms", call.cpu_ns / _NS_PER_MS)
    span.set("lath.wall_ms", call.wall_ns / _NS_PER_MS)
    if call.fuel is not None:
        span.set("lath.fuel", call.fuel)
    if call.memory_limited:
        span.set("lath.memory_limited", True)
    for interface, count in call.host_calls.items():
        span.set(f"lath.host_calls.{interface or 'world'}", count)


def tell_bytes(received_bytes: int, sent_bytes: int, span: telemetry.Span | None = None) -> None:
    """Adds the sizes of a call that came over the bus to its span; the one around it, if none is given."""
    span = span or telemetry.current_span()
    span.set("lath.bytes_in", received_bytes)
    span.set("lath.bytes_out", sent_bytes)
