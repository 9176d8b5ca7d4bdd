"""The metrics of calls: how many ended how, how long they took, and what components used for them.

They are summed up in plain dictionaries and read by the SDK when it exports: adding to an instrument of the
SDK costs as much as a warm call of a component, and a call would add to five. What components used is summed
up by their hosts, for inventories, and only read here.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

CALLS: Final = "lath.calls"
ACTIVE: Final = "lath.calls.active"
DURATION: Final = "lath.call.duration"
CPU: Final = "lath.component.cpu"
FUEL: Final = "lath.component.fuel"
HOST_CALLS: Final = "lath.component.host_calls"
MEMORY_LIMIT_HITS: Final = "lath.component.memory_limit_hits"
BYTES: Final = "lath.component.bytes"

BOUNDS_MS: Final = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000)
"""Upper bounds of a histogram's buckets: those that OpenTelemetry has by default."""
CALL_KEYS_MAX: Final = 1_800
"""Sets of attributes that calls are told apart by. Links are many, and the names of functions come from
callers; past this, calls are told apart by side, target and kind alone, for which OpenTelemetry's own limit
of 2,000 for a metric leaves room."""
OVERFLOW: Final = "otel.metric.overflow"
"""The attribute, and the value of the others, of what is past the limit; OpenTelemetry's name."""
_ACTIVE_ATTRIBUTES: Final = (
    "lath.side", "lath.target", "rpc.service", "rpc.method", "lath.source", "lath.link",
)  # fmt: skip
_CALL_ATTRIBUTES: Final = (*_ACTIVE_ATTRIBUTES, "lath.kind")

ActiveKey = tuple[str, str, str, str, str, str]
"""Values of the attributes of a call that runs: side, target, interface, function, source, link."""
CallKey = tuple[str, str, str, str, str, str, str]
"""Those of one that has ended: the kind too."""
ActiveReader = Callable[[], Iterable[ActiveKey]]
"""Reads the calls that run now, each once; called in the exporter's thread."""
Used = Iterable[tuple[str, tuple[str, ...], float]]
"""What a component has used so far: (instrument, values of its attributes beside the component, sum)."""
_Source = tuple[str, Callable[[], Used]]
"""(the component's id, what reads what it has used)."""


class Durations:
    """How long the calls of one kind took: a histogram.

    Attributes:
        sum_ms: Of their durations, milliseconds.
        min_ms: The shortest.
        max_ms: The longest.
        buckets: How many were no longer than each of `BOUNDS_MS` and longer than the one before; last, the
            rest.
    """

    __slots__ = ("buckets", "max_ms", "min_ms", "sum_ms")

    def __init__(self) -> None:
        self.sum_ms = 0.0
        self.min_ms = float("inf")
        self.max_ms = 0.0
        self.buckets = [0] * (len(BOUNDS_MS) + 1)

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)

    def add(self, duration_ms: float) -> None:
        """Counts one call."""
        self.sum_ms += duration_ms
        if duration_ms < self.min_ms:
            self.min_ms = duration_ms
        if duration_ms > self.max_ms:
            self.max_ms = duration_ms
        self.buckets[bisect_left(BOUNDS_MS, duration_ms)] += 1


_USED: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    CPU: ("ms", "Time in which guests computed", ()),
    FUEL: ("", "Fuel that guests used, where it is metered", ()),
    HOST_CALLS: ("{call}", "Imports that guests called", ("lath.interface",)),
    MEMORY_LIMIT_HITS: ("{call}", "Calls that ended for want of memory", ()),
    BYTES: ("By", "Bytes of calls over the bus", ("lath.direction",)),
}
"""Unit, description and further attributes of what components use."""


class _Sums:
    """What is counted in this process while metrics go anywhere."""

    on = False
    calls: Final[dict[CallKey, Durations]] = {}
    active: Final[list[ActiveReader]] = []
    sources: Final[list[_Source]] = []
    """Components that run."""
    ended: Final[dict[str, dict[tuple[str, ...], float]]] = {name: {} for name in _USED}
    """What the others had used: by instrument and the values of its attributes, the component first."""
    moving: Final = threading.Lock()
    """Held while a component goes over to those that ended: the exporter's thread sees it once."""


_sums: Final = _Sums()


def measuring() -> bool:
    """Whether metrics go anywhere. Hot paths ask before they take the time."""
    return _sums.on


def install(meter: Meter | None) -> None:
    """Has `meter` read what is counted from here on; None: nothing is counted any more."""
    _sums.on = meter is not None
    _sums.calls.clear()
    for sums in _sums.ended.values():
        sums.clear()
    if meter is None:
        return
    meter.create_observable_counter(
        CALLS, [_observe_calls], unit="{call}", description="Calls, by how they ended"
    )
    meter.create_observable_up_down_counter(
        ACTIVE, [_observe_active], unit="{call}", description="Calls that run now"
    )
    for name, (unit, description, more) in _USED.items():
        callback = _observer(name, ("lath.component", *more))
        meter.create_observable_counter(name, [callback], unit=unit, description=description)


def call_durations() -> list[tuple[dict[str, str | bool], Durations]]:
    """The histograms of calls, each with its attributes. Called in the exporter's thread."""
    return [(_attributes(key), durations) for key, durations in list(_sums.calls.items())]


def record_call(
    side: Literal["client", "server"],
    target: str,
    interface: str,
    function: str,
    kind: str,
    duration_ms: float,
    source: str = "",
    link: str = "",
) -> None:
    """Counts one call.

    Args:
        side: Who counts it.
        target: The id of the callee.
        interface: `namespace:package/interface`.
        function: The function's WIT name.
        kind: `ok`, or the kind of the error.
        duration_ms: From start to end, milliseconds.
        source: The id of the caller; empty: not known.
        link: The name of the link; empty: there is none.
    """
    if not _sums.on:
        return
    key = (side, target, interface, function, source, link, kind)
    durations = _sums.calls.get(key)
    if durations is None:
        if len(_sums.calls) >= CALL_KEYS_MAX:
            key = (side, target, OVERFLOW, OVERFLOW, OVERFLOW, OVERFLOW, kind)
        durations = _sums.calls.setdefault(key, Durations())
    durations.add(duration_ms)


def read_active(read: ActiveReader) -> Callable[[], None]:
    """Has the metrics read which calls run, whenever they are exported, at no cost to the calls.

    Returns:
        Ends it.
    """
    _sums.active.append(read)

    def end() -> None:
        if read in _sums.active:
            _sums.active.remove(read)

    return end


def read_usage(component: str, read: Callable[[], Used]) -> Callable[[], None]:
    """Has the metrics read what a component has used whenever they are exported, at no cost to its calls.

    Args:
        component: Its id.
        read: Reads it; called in the exporter's thread.

    Returns:
        Ends it: what the component has used by then stays.
    """
    source = (component, read)
    _sums.sources.append(source)

    def end() -> None:
        with _sums.moving:
            if source in _sums.sources:
                _sums.sources.remove(source)
                for name, sums in _sums.ended.items() if _sums.on else ():
                    _add_used(source, name, sums)

    return end


def _add_used(source: _Source, instrument: str, sums: dict[tuple[str, ...], float]) -> None:
    component, read = source
    for name, more, value in read():
        if name == instrument and value:
            key = (component, *more)
            sums[key] = sums.get(key, 0) + value


def _attributes(key: CallKey) -> dict[str, str | bool]:
    attributes = _told(_CALL_ATTRIBUTES, key)
    kind = key[-1]
    return attributes if kind == "ok" else attributes | {"error.type": kind}


def _told(names: tuple[str, ...], key: tuple[str, ...]) -> dict[str, str | bool]:
    """Attributes by name; empty ones are left out."""
    told: dict[str, str | bool] = {"rpc.system": "lath"}
    if OVERFLOW in key:
        told[OVERFLOW] = True
    return told | {name: value for name, value in zip(names, key, strict=True) if value not in ("", OVERFLOW)}


def _observe_calls(options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    return [Observation(durations.count, attributes) for attributes, durations in call_durations()]


def _observe_active(options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    counted: Counter[ActiveKey] = Counter()
    for read in list(_sums.active):
        for key in read():
            side, target, *_ = key
            more = key in counted or len(counted) < CALL_KEYS_MAX
            counted[key if more else (side, target, OVERFLOW, OVERFLOW, OVERFLOW, OVERFLOW)] += 1
    return [Observation(number, _told(_ACTIVE_ATTRIBUTES, key)) for key, number in counted.items()]


def _observer(instrument: str, names: tuple[str, ...]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(options: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        with _sums.moving:
            sums = dict(_sums.ended[instrument])
            for source in list(_sums.sources):
                _add_used(source, instrument, sums)
        return [Observation(value, dict(zip(names, key, strict=True))) for key, value in sums.items()]

    return observe
