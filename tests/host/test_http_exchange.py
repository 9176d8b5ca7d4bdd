"""HTTP requests of providers reach components: in the same process, and on another host, alike."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator

import guests
import pytest
from http_components import ECHO, HELLO
from http_served import chunks, whole
from http_ways import HANDLER, MIB, Way, way
from nats.aio.msg import Msg

from lath import subjects
from lath.bus import Bus
from lath.errors import (
    InvalidArgument,
    LinkNotFound,
    NotFound,
    Overloaded,
)
from lath.names import CLIENT_SOURCE, NO_LINK, InterfaceName
from lath.provider import Link
from lath.rpc.streams import WINDOW_BYTES_MAX
from lath.testing import eventually
from lath_host.engine.wasi.bodies import PIPE_BYTES_MAX
from lath_host.testing import InProcessLattice

__all__ = ["way"]


pytestmark = pytest.mark.timeout(300)


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_a_component_says_hello(way: Way) -> None:
    link = await way.serve(HELLO)
    response = await way.ask(link)
    assert response.status == 200 and response.headers == []
    assert await whole(response) == b"hello"
    await eventually(lambda: way.running == 0)


@pytest.mark.parametrize("size", [0, 1, 65_537, PIPE_BYTES_MAX, PIPE_BYTES_MAX + 1, 3 * MIB + 17])
async def test_a_body_of_every_size_comes_back_whole(way: Way, size: int) -> None:
    link = await way.serve(ECHO)
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    response = await way.ask(link, method="POST", body=chunks(body))
    assert await whole(response) == body
    await eventually(lambda: way.running == 0)


async def test_64_mib_stream_through_in_bounded_memory_with_back_pressure(way: Way) -> None:
    link = await way.serve(ECHO)
    piece, count = bytes(range(256)) * 1024, 256
    sent = received = ahead = warm_kib = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(count):
            sent += len(piece)
            yield piece

    response = await way.ask(link, method="POST", body=body())
    async for chunk in response.body:
        at = received % len(piece)
        assert chunk == (piece * 2)[at : at + len(chunk)]
        received += len(chunk)
        ahead = max(ahead, sent - received)
        if received < 16 * MIB:
            warm_kib = peak_kib()
    assert received == count * len(piece)
    assert ahead <= 4 * MIB
    assert peak_kib() - warm_kib < 16 * 1024
    await eventually(lambda: way.component._usage.totals()["bytes_out"] == received)
    assert way.component._usage.totals()["bytes_in"] == received


async def test_a_response_that_nobody_reads_stops_the_request(way: Way) -> None:
    link = await way.serve(ECHO)
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield bytes(65536)

    response = await way.ask(link, method="POST", body=body())
    await anext(aiter(response.body))
    await eventually(lambda: sent > PIPE_BYTES_MAX)
    for _ in range(300):
        await asyncio.sleep(0)
    await way.lattice.bus.flush()
    assert sent <= 2 * WINDOW_BYTES_MAX + 4 * PIPE_BYTES_MAX
    await response.body.aclose()
    await eventually(lambda: way.running == 0)


async def test_what_is_asked_and_answered_arrives_as_it_is(way: Way) -> None:
    link = await way.serve_python()
    response = await way.ask(
        link, path_with_query="/about?x=1", method="POST", scheme="https", authority="me:1",
        headers=[("X-A", b"\xff"), ("x-a", b"2"), ("Host", b"me:1"), ("connection", b"close")],
    )  # fmt: skip
    assert response.status == 418
    assert response.headers == [("X-A", b"\xff"), ("x-a", b"2")]
    assert await whole(response) == b"Method_Post Scheme_Https me:1 /about?x=1"


@pytest.mark.parametrize("size", [1, MIB])
async def test_trailers_pass_both_ways(way: Way, size: int) -> None:
    link = await way.serve_python()
    response = await way.ask(
        link, path_with_query="/trailers", method="POST", body=chunks(b"a", b"b" * size),
        trailers=lambda: [("x-sum", b"7")],
    )  # fmt: skip
    assert await whole(response) == b""
    assert response.trailers == [("x-sum", b"7"), ("x-more", b"1")]


async def test_trailers_follow_a_response_that_streams(way: Way) -> None:
    link = await way.serve_python()
    body = chunks(*(bytes(65536) for _ in range(32)))
    response = await way.ask(
        link, path_with_query="/echo-trailers", method="POST", body=body, trailers=lambda: [("x-sum", b"7")]
    )
    assert len(await whole(response)) == 2 * MIB
    assert response.trailers == [("x-sum", b"7")]


async def test_a_request_past_the_instances_and_the_queue_is_refused_and_was_not_touched(way: Way) -> None:
    link = await way.serve_python(count=1, component_limits={"queue_max": 0})
    held = await way.ask(link, path_with_query="/hang-midway")
    fetched = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal fetched
        while True:
            fetched += 1
            yield bytes(2 * PIPE_BYTES_MAX)

    with pytest.raises(Overloaded):
        await way.ask(link, path_with_query="/echo", method="POST", body=body())
    assert fetched <= 1  # at most what was to go with the message
    await held.body.aclose()
    await eventually(lambda: way.running == 0)
    assert await whole(await way.ask(link, path_with_query="/hello")) == b"hello"


async def test_without_a_link_nothing_is_served(way: Way) -> None:
    link = await way.serve(HELLO)
    stranger = Link.of(link.record.model_copy(update={"name": "other"}), "web")
    with pytest.raises(LinkNotFound):
        await way.ask(stranger)


async def test_a_component_that_serves_no_http_says_so(way: Way) -> None:
    link = await way.serve(guests.echo())
    with pytest.raises(NotFound, match="does not export wasi:http/incoming-handler"):
        await way.ask(link)


async def test_a_small_exchange_is_one_message_each_way(way: Way) -> None:
    """Beside the component it is none."""
    link = await way.serve(HELLO)
    calls: list[Msg] = []
    others: list[str] = []

    async def note(msg: Msg) -> None:
        if msg.subject.startswith("lath.rpc"):
            calls.append(msg)
        else:
            others.append(msg.subject)

    async with await Bus.connect(way.lattice.server.url, lattice=way.lattice.bus.lattice, name="spy") as spy:
        for subject in ("lath.rpc.>", "lath.rpci.>", "_INBOX.>"):
            await spy.nc.subscribe(subject, cb=note)
        await spy.flush()
        response = await way.ask(link, method="POST", body=chunks(b"a", b"b"), headers=[("a", b"b")])
        assert await whole(response) == b"hello"
        await way.host.services.bus.flush()
        await spy.flush()
    beside = "web" in way.host.services.providers
    assert len(calls) == (0 if beside else 1)
    assert [others.count(call.reply) for call in calls] == [1] * len(calls)


async def test_what_is_no_request_is_refused(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("site", HELLO)
    tail = subjects.call_tail(CLIENT_SOURCE, NO_LINK, InterfaceName.parse(HANDLER), "handle")
    for payload in (b"", b"\xc1", b"\x80", b"\x90", b"\x81\xa6method\xa3GET"):
        with pytest.raises(InvalidArgument):
            await lattice.caller.call("site", tail, payload, linked=False)
