"""Who gives up, or goes, ends the work that was done for him: guests, and everything that they called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import guests
import pytest

from lath.bus import Bus
from lath.codec import pack
from lath.names import CLIENT_SOURCE, NO_LINK, InterfaceName
from lath.provider import Call, Provider, operation
from lath.provider.instance import ProviderInstance
from lath.rpc import Caller
from lath.subjects import call_tail
from lath.testing import eventually
from lath_host import Host
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"
MIDDLE = "test:words/middle@1.0.0"
TIMEOUT_MS = 120_000
"""Far beyond the time in which the work must have stopped, so that no deadline stops it."""


class Slow(Provider):
    """An operation that lasts until it is cancelled, and tells so."""

    wit = "package test:words@1.0.0; interface echo { say: func(text: string) -> string; }"

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.cancelled = asyncio.Event()

    @operation("test:words/echo")
    async def say(self, call: Call[None], text: str) -> str:
        self.running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return text


def running(host: Host, component_id: str) -> int:
    return (host.services.components.get(component_id).describe().stats or {})["running"]


@asynccontextmanager
async def chain(lattice: InProcessLattice) -> AsyncIterator[tuple[Slow, Host]]:
    """front on the first host -> middle on the second -> the provider."""
    (other,) = await lattice.add_hosts(1)
    slow = Slow()
    async with ProviderInstance(slow, lattice.bus, provider_id="slow"):
        for component_id, source, host in (
            ("front", guests.relay(exported=FRONT, imported=MIDDLE), lattice.hosts[0]),
            ("middle", guests.relay(exported=MIDDLE), other),
        ):
            event = await lattice.start_component(component_id, source, host=host)
            assert event.name == "component_scaled", event.data
        await lattice.link("front", "middle", MIDDLE)
        await lattice.link("middle", "slow", ECHO)
        yield slow, other


async def everything_ended(slow: Slow, lattice: InProcessLattice, other: Host) -> None:
    async with asyncio.timeout(20):
        await slow.cancelled.wait()
    await eventually(lambda: running(other, "middle") == running(lattice.hosts[0], "front") == 0)


async def test_a_caller_that_gives_up_cancels_the_guests_and_the_provider_behind_them(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    async with chain(lattice) as (slow, other):
        call = asyncio.ensure_future(lattice.call("front", FRONT, "say", "x", timeout_ms=TIMEOUT_MS))
        await slow.running.wait()
        assert running(lattice.hosts[0], "front") == running(other, "middle") == 1
        call.cancel()
        await everything_ended(slow, lattice, other)
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_caller_whose_connection_ends_cancels_the_guests_and_the_provider_behind_them(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    async with chain(lattice) as (slow, other):
        bus = await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="leaves")
        caller = Caller(bus, None, "leaves")
        tail = call_tail(CLIENT_SOURCE, NO_LINK, InterfaceName.parse(FRONT), "say")
        call = asyncio.ensure_future(
            caller.call("front", tail, pack(["x"]), timeout_ms=TIMEOUT_MS, linked=False)
        )
        await slow.running.wait()
        await bus.close()  # without a word to anybody
        await everything_ended(slow, lattice, other)
        await caller.close()
        await asyncio.wait([call])


async def test_a_host_that_stops_without_grace_cancels_what_its_guests_called(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    async with chain(lattice) as (slow, other):
        call = asyncio.ensure_future(lattice.call("front", FRONT, "say", "x", timeout_ms=TIMEOUT_MS))
        await slow.running.wait()
        first = lattice.hosts[0]
        first.request_stop(0)
        async with asyncio.timeout(20):
            await slow.cancelled.wait()
        await eventually(lambda: running(other, "middle") == 0)
        await first.wait_stopped()
        await asyncio.wait([call])
        assert call.exception() is not None
