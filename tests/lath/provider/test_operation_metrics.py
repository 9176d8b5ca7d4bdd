"""Every operation of a provider is measured, by link, without a line of its author's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from otlp_receiver import OtlpReceiver

from lath import telemetry
from lath.bus import Bus
from lath.errors import CallCancelled, Internal
from lath.names import InterfaceName
from lath.provider import Call, OpError, Provider, operation
from lath.testing.provider import ProviderTest

INTERFACE = "test:measured/measured"


class Measured(Provider):
    wit = """
        package test:measured@1.0.0;
        interface measured { say: func(text: string) -> result<string, string>; wait: func(); }
    """
    interface = INTERFACE

    def __init__(self) -> None:
        self.waits = asyncio.Event()

    @operation
    async def say(self, call: Call[None], text: str) -> str:
        if text == "no":
            raise OpError(text)
        if text == "defect":
            raise ValueError(text)
        return text

    @operation
    async def wait(self, call: Call[None]) -> None:
        self.waits.set()
        await asyncio.Event().wait()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    with OtlpReceiver.running() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        telemetry.setup("spec")
        yield running
        telemetry.shutdown()


async def test_operations_are_counted_by_link_and_outcome_and_those_that_run_are_told(
    receiver: OtlpReceiver, bus: Bus
) -> None:
    provider = Measured()
    async with ProviderTest(bus, provider) as test:
        one, other = await test.link(), await test.link(name="other")
        assert await one.call(INTERFACE, "say", "yes") == "yes"
        with pytest.raises(OpError):
            await one.call(INTERFACE, "say", "no")
        with pytest.raises(Internal):
            await other.call(INTERFACE, "say", "defect")
        # from the same process, where nothing but the dispatch knows of it
        here = asyncio.create_task(
            test.instance.handle_local(
                source="app", link="other", interface=InterfaceName.parse(INTERFACE), function="wait",
                params=[], deadline=asyncio.get_running_loop().time() + 60,
            )
        )  # fmt: skip
        await provider.waits.wait()
        await asyncio.to_thread(telemetry.shutdown)
    with pytest.raises(CallCancelled):
        await here

    counted = Counter[tuple[object, ...]]()
    for point, count in receiver.points("lath.calls"):
        if point["lath.side"] == "server":
            counted[point["lath.target"], point["rpc.method"], point["lath.link"], point["lath.kind"]] += (
                count
            )
    assert counted == {
        ("provider", "say", "default", "ok"): 2,  # an `err` of the function is an answer
        ("provider", "say", "other", "internal"): 1,
    }
    (running,) = receiver.points("lath.calls.active")
    assert (running[0]["rpc.method"], running[0]["lath.link"], running[1]) == ("wait", "other", 1)
