"""How HTTP requests of components end: traps, time-outs, clients, callers and hosts that go."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from asking_provider import Asking
from http_components import ECHO
from http_served import whole
from http_ways import HANDLER, Way, endless, way

from lath.bus import Bus
from lath.errors import (
    CallCancelled,
    ConnectionLost,
    DeadlineExceeded,
    Trap,
)
from lath.http import HttpRequest
from lath.provider import Link, ProviderInstance
from lath.rpc import streams
from lath.testing import eventually
from lath_host.testing import HostProcess, InProcessLattice

__all__ = ["way"]


pytestmark = pytest.mark.timeout(300)


async def test_a_trap_before_the_head_is_the_callers_error(way: Way) -> None:
    link = await way.serve_python()
    with pytest.raises(Trap, match="unreachable"):
        await way.ask(link, path_with_query="/trap")
    await eventually(lambda: way.running == 0)


async def test_a_trap_after_the_head_ends_the_body(way: Way) -> None:
    link = await way.serve_python()
    response = await way.ask(link, path_with_query="/head-then-trap")
    assert await anext(aiter(response.body)) == b"so far"
    with pytest.raises(Trap, match="unreachable"):
        await anext(aiter(response.body))
    await eventually(lambda: way.running == 0)


async def test_an_error_code_in_place_of_a_response_is_told(way: Way) -> None:
    link = await way.serve_python()
    with pytest.raises(Trap, match="configuration-error"):
        await way.ask(link, path_with_query="/refuse")


async def test_a_guest_that_never_answers_is_cancelled_at_the_deadline(way: Way) -> None:
    link = await way.serve_python()
    with pytest.raises(DeadlineExceeded):
        await way.ask(link, path_with_query="/hang", timeout_ms=500)
    await eventually(lambda: way.running == 0)


async def test_a_guest_that_does_not_go_on_is_cancelled_by_the_components_limit(way: Way) -> None:
    link = await way.serve_python(component_limits={"timeout_ms": 1000})
    response = await way.ask(link, path_with_query="/hang-midway", timeout_ms=20_000)
    assert await anext(aiter(response.body)) == b"so far"
    with pytest.raises(DeadlineExceeded, match="did not go on with its body within 1000 ms"):
        await anext(aiter(response.body))
    await eventually(lambda: way.running == 0)


async def test_a_body_may_take_longer_than_the_head_had_time(way: Way) -> None:
    link = await way.serve(ECHO, component_limits={"timeout_ms": 20_000})
    go = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"last"

    response = await way.ask(link, method="POST", body=body(), timeout_ms=1000)
    assert await anext(aiter(response.body)) == b"first"
    loop = asyncio.get_running_loop()
    past = loop.time() + 1.2
    await eventually(lambda: loop.time() > past, what="the time of the head to be over")
    go.set()
    assert await whole(response) == b"last"


@pytest.mark.parametrize("path", ["/flood", "/hang-midway"])
async def test_a_client_that_is_gone_ends_the_guest(way: Way, path: str) -> None:
    link = await way.serve_python()
    response = await way.ask(link, path_with_query=path)
    assert await anext(aiter(response.body))
    assert way.running == 1
    await response.body.aclose()
    await eventually(lambda: way.running == 0)


async def test_a_caller_that_gives_up_before_the_head_ends_the_guest(way: Way) -> None:
    link = await way.serve_python()
    asked = asyncio.ensure_future(way.ask(link, path_with_query="/hang", timeout_ms=60_000))
    await eventually(lambda: way.running == 1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await eventually(lambda: way.running == 0)


async def test_a_request_body_that_breaks_off_is_the_guests_error(way: Way) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError("the client is gone")

    link = await way.serve(ECHO)
    response = await way.ask(link, method="POST", body=body())
    assert await whole(response) == b"some"  # this guest takes any error for the end
    await eventually(lambda: way.running == 0)


async def test_a_host_that_stops_lets_a_response_end(way: Way) -> None:
    link = await way.serve(ECHO)
    go = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"last"

    response = await way.ask(link, method="POST", body=body())
    assert await anext(aiter(response.body)) == b"first"
    stopping = asyncio.create_task(way.component.stop(20_000))
    await eventually(lambda: not way.component.has_room())
    go.set()
    assert await whole(response) == b"last"
    await stopping


async def test_a_component_that_stops_hard_is_an_error_and_no_end(way: Way) -> None:
    link = await way.serve_python()
    response = await way.ask(link, path_with_query="/hang-midway")
    assert await anext(aiter(response.body)) == b"so far"
    component = way.component
    await component.close()
    with pytest.raises(CallCancelled):
        await anext(aiter(response.body))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_host_that_is_lost_amid_a_response_is_an_error_and_no_end(
    lattice_in_process: InProcessLattice,
    process: Callable[..., Awaitable[HostProcess]],
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
) -> None:
    monkeypatch.setattr(streams, "ASK_EVERY_S", 0.5)
    monkeypatch.setattr(streams, "GONE_S", 3.0)
    lattice = lattice_in_process
    host = await process()
    async with (
        await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="web") as bus,
        ProviderInstance(Asking(), bus, provider_id="web") as provider,
    ):
        event = await lattice.start_component("site", ECHO, host=host.id)
        assert event.name == "component_scaled", event.data
        record = await lattice.link("web", "site", HANDLER)
        await provider.settled(record.key, record.revision)
        request = HttpRequest(method="POST", body=endless(b"so far"))
        response = await provider.http(Link.of(record, "web"), request, timeout_ms=60_000)
        assert await anext(aiter(response.body)) == b"so far"
        host.signal(how)
        with pytest.raises(ConnectionLost):
            await anext(aiter(response.body))
