"""What a component's calls used shows in its host's inventory, and in the metrics."""

from __future__ import annotations

import asyncio

import guests
import pytest
from otlp_receiver import OtlpReceiver

from lath import telemetry
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"


async def test_the_inventory_says_what_calls_used(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await lattice.start_component("echo", guests.echo(), host=other)
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    text = "x" * 1000
    for _ in range(3):
        assert await lattice.call("front", FRONT, "say", text) == text
    front = lattice.hosts[0].services.components.get("front").describe().stats or {}
    echo = other.services.components.get("echo").describe().stats or {}
    assert front["calls"] == front["host_calls"] == front[f"host_calls.{ECHO}"] == 3
    assert echo["bytes_in"] == echo["bytes_out"] + 3 > 3000  # parameters come in an array
    assert front["bytes_in"] == front["bytes_out"] == echo["bytes_in"] + echo["bytes_out"]
    assert echo["instances"] >= 3 and echo["fuel"] == echo["memory_limit_hits"] == 0


async def test_the_metrics_say_what_a_component_used_also_once_it_was_stopped(
    lattice_in_process: InProcessLattice, monkeypatch: pytest.MonkeyPatch
) -> None:
    lattice = lattice_in_process
    with OtlpReceiver.running() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        await asyncio.to_thread(telemetry.setup, "usage")
        await lattice.start_component("echo", guests.echo())
        assert await lattice.call("echo", ECHO, "say", "x" * 1000) == "x" * 1000
        await lattice.start_component("echo", guests.echo(), count=0)
        await asyncio.to_thread(telemetry.shutdown)
        metrics = receiver.metrics()
    points = metrics["lath.component.bytes"].sum.data_points
    sizes = {
        tuple(sorted((each.key, each.value.string_value) for each in point.attributes)): point.as_int
        for point in points
    }
    component = ("lath.component", "echo")
    received, sent = sizes[component, ("lath.direction", "in")], sizes[component, ("lath.direction", "out")]
    assert received == sent + 1 > 1000  # parameters come in an array
