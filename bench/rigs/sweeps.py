"""How a call across hosts scales: payloads of 0 bytes to 10 MiB, and 1 to 1,000 calls in flight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bench.guests import ECHO, TEXT_ECHO, text_file
from bench.lattice import IN_FLIGHT_MAX, Lattice, lattice, packed
from bench.load import closed_loop
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from bench.peers import PARAMS

SIZES: Final = {
    "0_b": 0, "1_kb": 1_000, "10_kb": 10_000, "100_kb": 100_000, "1_mib": 1 << 20, "10_mib": 10 << 20,
}  # fmt: skip
FLIGHTS: Final = (1, 10, 100, IN_FLIGHT_MAX)
_MEMORY_BYTES: Final = 256 << 20
_ECHO: Final = "echo"

_PAYLOADS: Final = tuple(
    Measurement(f"payload.{label}.p50_us", "us", "lower", f"list<u8> of {size:,} bytes there and back")
    for label, size in SIZES.items()
)
_IN_FLIGHT: Final = tuple(
    measurement
    for count in FLIGHTS
    for measurement in (
        Measurement(f"in_flight.{count}.calls_per_s", "calls/s", "higher", f"{count:,} calls in flight"),
        Measurement(f"in_flight.{count}.p99_us", "us", "lower", f"{count:,} calls in flight"),
    )
)


def _payload(on: Lattice, label: str, seconds: float) -> Probe:
    data = bytes(range(256)) * (SIZES[label] // 256 + 1)
    params = packed(data[: SIZES[label]])

    async def call() -> None:
        if len(await on.call(_ECHO, ECHO, "bytes", params)) < SIZES[label]:
            raise RuntimeError("less came back than was sent")

    async def probe() -> Values:
        return {f"payload.{label}.p50_us": (await closed_loop(call, 1, seconds)).p50_us}

    return probe


def _in_flight(on: Lattice, count: int, seconds: float) -> Probe:
    async def call() -> None:
        await on.call(_ECHO, ECHO, "echo", PARAMS)

    async def probe() -> Values:
        load = await closed_loop(call, count, seconds)
        return {
            f"in_flight.{count}.calls_per_s": load.calls_per_s,
            f"in_flight.{count}.p99_us": load.p99_us,
        }

    return probe


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    async with lattice(settings, "a") as on:
        file = text_file(on.folder, "echo", TEXT_ECHO)
        await on.start(_ECHO, file, host="a", reuse=True, memory_bytes_max=_MEMORY_BYTES)
        probes = [_payload(on, label, settings.seconds) for label in SIZES]
        probes += [_in_flight(on, count, settings.seconds) for count in FLIGHTS]
        yield Opened(probes)


SWEEPS = Rig("sweeps", "payload sizes and calls in flight, across hosts", _PAYLOADS + _IN_FLIGHT, _open)
