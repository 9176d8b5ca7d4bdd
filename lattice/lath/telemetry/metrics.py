"""The metrics of calls: how many ended how, how long they took, and what components used for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter

CALLS: Final = "lath.calls"
DURATION: Final = "lath.call.duration"
CPU: Final = "lath.component.cpu"
FUEL: Final = "lath.component.fuel"
HOST_CALLS: Final = "lath.component.host_calls"
MEMORY_LIMIT_HITS: Final = "lath.component.memory_limit_hits"
BYTES: Final = "lath.component.bytes"


class _Instruments:
    """The instruments of this process; None until `setup` found where metrics go."""

    calls: Counter | None = None
    duration: Histogram | None = None
    component: ComponentInstruments | None = None


@dataclass(frozen=True, slots=True)
class ComponentInstruments:
    """What components use."""

    cpu: Counter
    fuel: Counter
    host_calls: Counter
    memory_limit_hits: Counter
    bytes: Counter


instruments: Final = _Instruments()


def measuring() -> bool:
    """Whether metrics go anywhere. Hot paths ask before they take the time."""
    return instruments.calls is not None


def install(meter: Meter | None) -> None:
    """Makes the instruments on `meter`, or drops them."""
    if meter is None:
        instruments.calls = instruments.duration = instruments.component = None
        return
    instruments.calls = meter.create_counter(CALLS, unit="{call}", description="Calls, by how they ended")
    instruments.duration = meter.create_histogram(DURATION, unit="ms", description="Duration of calls")
    instruments.component = ComponentInstruments(
        cpu=meter.create_counter(CPU, unit="ms", description="Time in which guests computed"),
        fuel=meter.create_counter(FUEL, description="Fuel that guests used, where it is metered"),
        host_calls=meter.create_counter(HOST_CALLS, unit="{call}", description="Imports that guests called"),
        memory_limit_hits=meter.create_counter(
            MEMORY_LIMIT_HITS, unit="{call}", description="Calls that ended for want of memory"
        ),
        bytes=meter.create_counter(BYTES, unit="By", description="Bytes of calls over the bus"),
    )


def record_call(
    side: Literal["client", "server"],
    target: str,
    interface: str,
    function: str,
    kind: str,
    duration_ms: float,
) -> None:
    """Counts one call.

    Args:
        side: Who counts it.
        target: The id of the callee.
        interface: `namespace:package/interface`.
        function: The function's WIT name.
        kind: `ok`, or the kind of the error.
        duration_ms: From start to end, milliseconds.
    """
    if instruments.calls is None or instruments.duration is None:
        return
    attributes = {
        "rpc.system": "lath",
        "lath.side": side,
        "lath.target": target,
        "lath.interface": interface,
        "lath.function": function,
        "lath.kind": kind,
    }
    instruments.calls.add(1, attributes)
    instruments.duration.record(duration_ms, attributes)


def record_usage(
    component: str, *, cpu_ms: float, fuel: int, memory_limit_hits: int, host_calls: Mapping[str, int]
) -> None:
    """Adds what one call of a component used.

    Args:
        component: Its id.
        cpu_ms: In which the guest computed, milliseconds.
        fuel: Used up.
        memory_limit_hits: 1 where it ended for want of memory.
        host_calls: Calls of imports, by interface.
    """
    to = instruments.component
    if to is None:
        return
    attributes = {"lath.component": component}
    to.cpu.add(cpu_ms, attributes)
    if fuel:
        to.fuel.add(fuel, attributes)
    if memory_limit_hits:
        to.memory_limit_hits.add(memory_limit_hits, attributes)
    for interface, count in host_calls.items():
        to.host_calls.add(count, {**attributes, "lath.interface": interface})


def record_bytes(component: str, received_bytes: int, sent_bytes: int) -> None:
    """Adds the sizes of one call over the bus, as a component saw them."""
    to = instruments.component
    if to is not None:
        to.bytes.add(received_bytes, {"lath.component": component, "lath.direction": "in"})
        to.bytes.add(sent_bytes, {"lath.component": component, "lath.direction": "out"})
