"""A call ends where it runs when nobody waits for it any more, also when its caller cannot say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.errors import TimeoutError as NatsTimeoutError

from lath.bus import Bus
from lath.errors import ConnectionLost
from lath.names import InterfaceName
from lath.rpc import Caller, CallServer, IncomingCall
from lath.rpc.bulk import IN_FLIGHT_BYTES_MAX, INLINE_BYTES_MAX, BulkPort
from lath.server import Server
from lath.subjects import HEADER_CALL, HEADER_ERROR, call_any, call_tail
from lath.testing import eventually

TAIL = call_tail("app", "default", InterfaceName("wasi", "keyvalue", "store"), "get")


class Hanging:
    """Serves calls that last until `release` is set; tells which were cancelled."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def handle(self, call: IncomingCall) -> bytes:
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return call.payload


@pytest.fixture
async def hanging(server_bus: Bus) -> AsyncIterator[tuple[Hanging, CallServer]]:
    hanging = Hanging()
    async with CallServer(server_bus, "kv", "i1", hanging.handle) as server:
        yield hanging, server


async def calling(caller: Caller, server: CallServer) -> asyncio.Task[bytes]:
    task = asyncio.create_task(caller.call("kv", TAIL, b"x", timeout_ms=60_000, linked=True))
    await eventually(lambda: server.inflight == 1)
    return task


async def test_a_caller_that_dies_ends_its_call(
    shared_nats_server: Server, lattice: str, hanging: tuple[Hanging, CallServer]
) -> None:
    served, server = hanging
    bus = await Bus.connect(shared_nats_server.url, lattice=lattice, name="dies")
    caller = Caller(bus, None, "app")
    call = await calling(caller, server)
    await bus.close()  # says nothing to anybody
    async with asyncio.timeout(20):
        await served.cancelled.wait()
    await caller.close()
    with pytest.raises(ConnectionLost):
        await call


async def test_a_caller_that_lost_its_connection_ends_its_call_once_it_is_back(
    caller_bus: Bus, hanging: tuple[Hanging, CallServer]
) -> None:
    served, server = hanging
    async with Caller(caller_bus, None, "app") as caller:
        call = await calling(caller, server)
        caller._disconnected()  # what a lost connection does: the call has failed, and nobody could be told
        with pytest.raises(ConnectionLost):
            await call
        async with asyncio.timeout(20):
            await served.cancelled.wait()


async def test_a_call_whose_caller_waits_goes_on_however_often_it_is_asked(
    caller_bus: Bus, hanging: tuple[Hanging, CallServer]
) -> None:
    served, server = hanging
    async with Caller(caller_bus, None, "app") as caller:
        call = await calling(caller, server)
        (running,) = server._running.values()
        await eventually(lambda: running.asks == 2, timeout_s=20)
        served.release.set()
        assert await call == b"x"
        assert not served.cancelled.is_set()


async def test_a_caller_that_still_fetches_a_large_result_waits_for_it(
    caller_bus: Bus, server_bus: Bus
) -> None:
    async def large(call: IncomingCall) -> bytes:
        return bytes(INLINE_BYTES_MAX + 1)

    port = await BulkPort.of(caller_bus)
    async with CallServer(server_bus, "kv", "i1", large) as server, Caller(caller_bus, None, "app") as caller:
        await port.in_flight.acquire(IN_FLIGHT_BYTES_MAX)  # others fetch: this one has to wait
        call = await calling(caller, server)
        (running,) = server._running.values()
        await eventually(lambda: running.asks == 2, timeout_s=20)
        port.in_flight.release(IN_FLIGHT_BYTES_MAX)
        assert await call == bytes(INLINE_BYTES_MAX + 1)


async def test_a_foreign_caller_gets_its_answer_and_no_question(
    caller_bus: Bus, hanging: tuple[Hanging, CallServer]
) -> None:
    served, _ = hanging
    subject = call_any(caller_bus.lattice, "kv", TAIL)
    headers = {HEADER_CALL: "60000,someid,,,"}
    with pytest.raises(NatsTimeoutError):
        await caller_bus.nc.request(subject, b"x", timeout=2.5, headers=headers)  # a question would end it
    served.release.set()
    reply = await caller_bus.nc.request(subject, b"y", timeout=10, headers=headers | {HEADER_CALL: "9,b,,,"})
    assert reply.data == b"y" and HEADER_ERROR not in (reply.headers or {})
