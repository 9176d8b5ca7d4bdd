"""The metrics of calls: how many ended how, and how long they took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter

CALLS: Final = "lath.calls"
DURATION: Final = "lath.call.duration"


class _Instruments:
    """The instruments of this process; None until `setup` found where metrics go."""

    calls: Counter | None = None
    duration: Histogram | None = None


instruments: Final = _Instruments()


def measuring() -> bool:
    """Whether metrics go anywhere. Hot paths ask before they take the time."""
    return instruments.calls is not None


def install(meter: Meter | None) -> None:
    """Makes the instruments on `meter`, or drops them."""
    if meter is None:
        instruments.calls = instruments.duration = None
        return
    instruments.calls = meter.create_counter(CALLS, unit="{call}", description="Calls, by how they ended")
    instruments.duration = meter.create_histogram(DURATION, unit="ms", description="Duration of calls")


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
