"""What OpenTelemetry costs a warm call across hosts: off, at 1 % sampled, at 100 %.

Caller and host are processes with the SDK and its OTLP exporter, which export to a sink in another process.
Each call belongs to a trace that began elsewhere, as behind an HTTP server. `1` and `100` export spans and
metrics, which is what setting an endpoint turns on; `1_spans` spans alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bench.child import Child, child
from bench.guests import TEXT_ECHO, text_file
from bench.lattice import lattice
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values

_IN_FLIGHT: Final = 64
_SPANS_ONLY: Final = {"OTEL_METRICS_EXPORTER": "none"}
_WARM_UP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Case:
    """How much is recorded.

    Attributes:
        name: In the measurement's name.
        what: For readers.
        sampled: Share of the calls' traces that are sampled; None: calls carry none, and the SDK is off.
        env: More environment variables.
    """

    name: str
    what: str
    sampled: float | None = None
    env: Mapping[str, str] = field(default_factory=dict)


_CASES: Final = (
    _Case("off", "no telemetry"),
    _Case("1_spans", "spans, 1 % sampled", 0.01, _SPANS_ONLY),
    _Case("1", "spans and metrics, 1 % sampled", 0.01),
    _Case("100", "spans and metrics, 100 % sampled", 1.0),
)
_MEASUREMENTS: Final = tuple(
    Measurement(
        f"telemetry.{case.name}.calls_per_s", "calls/s", "higher", f"64 in flight, {case.what}",
        "" if case.name == "off" else "telemetry.off.calls_per_s",
    )
    for case in _CASES
)  # fmt: skip


def _probe(case: _Case, caller: Child, seconds: float) -> Probe:
    async def probe() -> Values:
        load = await caller.ask({"in_flight": _IN_FLIGHT, "seconds": seconds})
        return {f"telemetry.{case.name}.calls_per_s": load["calls_per_s"]}

    return probe


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(child("bench.otlp_sink"))
        on = await stack.enter_async_context(lattice(settings))
        file = text_file(on.folder, "echo", TEXT_ECHO)
        opened = Opened()
        for case in _CASES:
            env: dict[str, str] = {}
            arguments: list[str] = []
            if case.sampled is not None:
                env = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.ready["url"], **case.env}
                arguments = ["--sampled", str(case.sampled)]
            host, target = f"host-{case.name}", f"echo-{case.name}"
            await on.add_host(host, env=env)
            await on.start(target, file, host=host, reuse=True)
            caller = await stack.enter_async_context(
                child("bench.caller", on.url, target, *arguments, env=env)
            )
            await caller.ask({"in_flight": _IN_FLIGHT, "seconds": _WARM_UP_SECONDS})
            opened.probes.append(_probe(case, caller, settings.seconds))
        yield opened


TELEMETRY = Rig("telemetry", "a call with and without OpenTelemetry", _MEASUREMENTS, _open)
