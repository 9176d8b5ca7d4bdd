"""Limits of size, time and number: each is told, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import idle_clients
import pytest
from http2_client import Http2Client
from http_front import Component, echo, fronting, hello, streaming, text, whole_body

from lath import errors
from lath.errors import LathError
from lath.http import HttpRequest, HttpResponse, WholeBody
from lath.testing import eventually

H = "host: a\r\n"
BATCH = 500
"""Connections that are opened at a time: fewer than the kernel keeps until they are accepted."""


async def never(request: HttpRequest) -> HttpResponse:
    await asyncio.Event().wait()
    raise AssertionError


def reading(answered: str = "read") -> Component:
    async def reads(request: HttpRequest) -> HttpResponse:
        await whole_body(request)
        return text(answered)

    return reads


# --- size ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        f"GET /{'x' * 4_000} HTTP/1.1\r\n{H}\r\n",
        f"GET / HTTP/1.1\r\n{H}x: {'y' * 4_000}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{H}{'y' * 4_000}: x\r\n\r\n",
        f"GET / HTTP/1.1\r\n{H}" + "x: y\r\n" * 1_000 + "\r\n",
    ],
)
@pytest.mark.parametrize("piece", [10, 100_000])
async def test_a_head_above_the_limit_is_431(head: str, piece: int) -> None:
    async with fronting(hello, header_bytes_max="2000") as front, await front.client() as client:
        for start in range(0, len(head), piece):
            client.writer.write(head[start : start + piece].encode())
            await asyncio.sleep(0)
        assert (await client.answer()).status == 431
        assert await client.ended()
        assert front.seen == []


async def test_a_head_that_never_ends_is_431_and_kept_no_longer() -> None:
    async with fronting(hello) as front, await front.client() as client:
        await client.send("GET / HTTP/1.1\r\nx: ")
        for _ in range(100):
            client.writer.write(b"y" * 1_000)
        assert (await client.answer()).status == 431


@pytest.mark.parametrize("tail", ["x: " + "y" * 4_000, "x: y\r\n" * 1_000])
async def test_trailers_above_the_limit_end_the_request(tail: str) -> None:
    async with fronting(reading(), header_bytes_max="2000") as front, await front.client() as client:
        await client.send(f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\n\r\n0\r\n{tail}\r\n\r\n")
        assert (await client.answer()).status == 431
        assert await client.ended()


async def test_a_declared_body_above_the_limit_is_413_at_once_and_unread() -> None:
    async with fronting(echo, body_bytes_max="10") as front, await front.client() as client:
        await client.send(f"PUT / HTTP/1.1\r\n{H}content-length: 11\r\nexpect: 100-continue\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.header("connection")) == (413, "close")
        assert "10 bytes" in answer.text
        assert front.seen == []
    async with fronting(echo, body_bytes_max="10") as front, await front.client() as client:
        await client.send(f"PUT / HTTP/1.1\r\n{H}content-length: 10\r\n\r\n0123456789")
        assert (await client.answer()).text == "0123456789"


async def test_a_client_that_sends_all_of_a_large_body_before_it_reads_gets_its_413() -> None:
    size = 20_000_000
    async with fronting(echo, body_bytes_max="10") as front, await front.client() as client:
        await client.send(f"PUT / HTTP/1.1\r\n{H}content-length: {size}\r\n\r\n", bytes(size))
        assert (await client.answer()).status == 413


async def test_a_chunked_body_above_the_limit_is_413_while_it_is_read() -> None:
    async with fronting(reading(), body_bytes_max="10") as front, await front.client() as client:
        await client.send(f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\n\r\n")
        await client.send("6\r\n012345\r\n")
        await eventually(lambda: front.seen)
        await client.send("6\r\n012345\r\n")
        assert (await client.answer()).status == 413
        assert await client.ended()
        assert front.places["app"].served.running == 0


async def test_a_body_that_turns_out_too_large_after_the_response_began_resets_it() -> None:
    async with fronting(echo, body_bytes_max="10") as front, await front.client() as client:
        await client.send(f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\n\r\n6\r\n012345\r\n")
        assert (await client.head()).status == 200
        assert await anext(client.chunks()) == b"012345"
        await client.send("6\r\n012345\r\n")
        assert not await client.ended()


async def careless(request: HttpRequest) -> AsyncIterator[bytes]:
    """Says what it has read, and ends as if all were well where there is no more to be read."""
    assert request.body is not None
    with contextlib.suppress(LathError):
        async for chunk in request.body:
            yield chunk


async def test_a_guest_that_thinks_a_body_above_the_limit_is_whole_is_413_all_the_same() -> None:
    async def thinks(request: HttpRequest) -> HttpResponse:
        data = b"".join([chunk async for chunk in careless(request)])
        return HttpResponse(200, [], WholeBody(data), whole=data)

    async with fronting(thinks, body_bytes_max="10") as front, await front.client() as client:
        await client.send(f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\n\r\nb\r\n0123456789a\r\n")
        assert (await client.answer()).status == 413


async def test_a_response_that_a_guest_ends_where_the_body_is_too_large_never_looks_whole() -> None:
    async def echoes(request: HttpRequest) -> HttpResponse:
        return streaming(careless(request))

    async with fronting(echoes, body_bytes_max="10") as front, await front.client() as client:
        await client.send(f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\n\r\n6\r\n012345\r\n")
        assert (await client.head()).status == 200
        assert await anext(client.chunks()) == b"012345"
        await client.send("6\r\n012345\r\n0\r\n\r\n")
        assert not await client.ended()


async def test_a_guest_that_ignores_a_body_leaves_the_connection_usable_up_to_a_size() -> None:
    async with fronting(hello) as front:
        async with await front.client() as client:
            await client.send(f"PUT / HTTP/1.1\r\n{H}content-length: 100000\r\n\r\n")
            assert (await client.answer()).status == 200
            await client.send(bytes(100_000), f"GET /next HTTP/1.1\r\n{H}\r\n")
            assert (await client.answer()).status == 200
            assert front.seen[-1].path_with_query == "/next"
        async with await front.client() as client:
            await client.send(f"PUT / HTTP/1.1\r\n{H}content-length: 10000000\r\n\r\n")
            assert (await client.answer()).status == 200
            client.writer.write(bytes(10_000_000))
            assert await client.ended()


# --- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", ["G", "GET / HTTP/1.1\r\n", f"GET / HTTP/1.1\r\n{H}", "\r\n", "PRI"])
async def test_a_head_that_does_not_come_in_time_is_408_or_a_clean_close(begun: str) -> None:
    async with fronting(hello, header_timeout_ms="50") as front, await front.client() as client:
        await client.send(begun)
        if begun.strip() and begun != "PRI":
            assert (await client.answer()).status == 408
        if begun.strip():
            assert await client.ended()
        await eventually(lambda: front.seen == [])


async def test_a_head_that_trickles_does_not_win_time() -> None:
    async with fronting(hello, header_timeout_ms="100") as front, await front.client() as client:
        answer = asyncio.create_task(client.answer())
        await client.send("GET / HTTP/1.1\r\nx: ")
        while not answer.done():
            client.writer.write(b"y")
            await asyncio.sleep(0.005)
        assert answer.result().status == 408


async def test_a_connection_without_requests_is_closed_after_a_time() -> None:
    async with fronting(hello, idle_timeout_ms="50") as front:
        async with await front.client() as fresh, Http2Client.to(front.port) as two:
            assert await fresh.ended()
            await two.closed()
        async with await front.client() as used:
            assert (await used.get()).status == 200
            assert await used.ended()


async def test_a_request_that_runs_is_no_idle_connection() -> None:
    go_on = asyncio.Event()

    async def waits(request: HttpRequest) -> HttpResponse:
        await go_on.wait()
        return text("done")

    async with (
        fronting(waits, idle_timeout_ms="20", header_timeout_ms="20") as front,
        await front.client() as client,
        Http2Client.to(front.port) as two,
    ):
        await client.send(f"GET / HTTP/1.1\r\n{H}\r\n")
        stream = await two.ask("GET", "/")
        await eventually(lambda: len(front.seen) == 2)
        async with await front.client() as other:
            assert await other.ended()  # so the time has passed
        go_on.set()
        assert (await client.answer()).text == "done"
        assert (await stream.answer()).text == "done"


async def test_a_body_that_stops_coming_is_408() -> None:
    async with fronting(reading(), stall_timeout_ms="50") as front:
        async with await front.client() as client, Http2Client.to(front.port) as two:
            await client.send(f"PUT / HTTP/1.1\r\n{H}content-length: 10\r\n\r\n01234")
            assert (await client.answer()).status == 408
            assert await client.ended()
            stream = await two.ask("PUT", "/", end=False)
            assert (await stream.answer()).status == 408
        await eventually(lambda: front.places["app"].served.running == 0)


async def endless(request: HttpRequest) -> HttpResponse:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield bytes(64 * 1024)

    return streaming(chunks())


async def test_a_response_that_is_not_taken_is_reset_and_its_guest_ended() -> None:
    async with fronting(endless, stall_timeout_ms="50") as front:
        async with await front.client() as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(f"GET / HTTP/1.1\r\n{H}\r\n")
            await eventually(lambda: front.seen and front.places["app"].served.running == 0)
        async with Http2Client.to(front.port, window_bytes=1_000) as two:
            two.h2.acknowledge_received_data = lambda *_: None  # type: ignore[method-assign]
            stream = await two.ask("GET", "/")
            await stream.ended()
            assert stream.reset_code is not None
        await eventually(lambda: front.places["app"].served.running == 0)


async def test_a_component_gets_the_links_time_out_and_what_it_does_in_vain_is_504() -> None:
    async def late(request: HttpRequest) -> HttpResponse:
        raise errors.DeadlineExceeded("not in time, by the secret clock")

    async with fronting(late, timeout_ms="1234") as front, await front.client() as client:
        answer = await client.get()
        assert (answer.status, answer.text) == (504, "Gateway Timeout: deadline_exceeded\n")
        assert front.timeouts == [1234]


# --- number ----------------------------------------------------------------------------------------


async def test_more_requests_at_once_than_a_link_takes_are_503_and_the_other_links_go_on() -> None:
    async with fronting(never, path="/slow", concurrency_max="2") as front:
        await front.link("other", hello, path="/other")
        clients = [await front.client() for _ in range(3)]
        for client in clients[:2]:
            await client.send(f"GET /slow HTTP/1.1\r\n{H}\r\n")
        await eventually(lambda: front.places["app"].served.running == 2)
        refused = await clients[2].get("/slow")
        assert (refused.status, refused.header("retry-after")) == (503, "1")
        assert (await clients[2].get("/other")).status == 200
        clients[0].writer.transport.abort()
        await eventually(lambda: front.places["app"].served.running == 1)
        for client in clients:
            client.writer.transport.abort()


async def test_connections_beyond_the_limit_are_closed_and_those_before_are_served() -> None:
    async with fronting(hello, connections_max="2") as front:
        first, second, third = [await front.client() for _ in range(3)]
        await third.ended()
        assert (await first.get()).status == 200
        assert (await second.get()).status == 200
        first.writer.transport.abort()
        await eventually(lambda: front.places["app"].listener.connections == 1)
        async with await front.client() as fourth:
            assert (await fourth.get()).status == 200
        second.writer.transport.abort()
        third.writer.transport.abort()


async def test_a_connection_ends_after_so_many_requests() -> None:
    async with fronting(hello, requests_per_connection_max="2") as front:
        async with await front.client() as client:
            assert (await client.get()).header("connection") is None
            assert (await client.get()).header("connection") == "close"
            assert await client.ended()
        async with Http2Client.to(front.port) as two:
            streams = [await two.ask("GET", "/") for _ in range(2)]
            assert [(await stream.answer()).status for stream in streams] == [200, 200]
            assert (await two.closed()).error_code == 0


async def test_a_thousand_requests_at_once_are_all_answered() -> None:
    async with fronting(echo) as front:

        async def one(number: int) -> None:
            async with await front.client() as client:
                body = f"{number}"
                await client.send(f"PUT / HTTP/1.1\r\n{H}content-length: {len(body)}\r\n\r\n{body}")
                answer = await client.answer()
                assert (answer.status, answer.text) == (200, body)

        await asyncio.gather(*map(one, range(1_000)))
        assert front.places["app"].served.running == 0
        await eventually(lambda: front.places["app"].listener.connections == 0)


@asynccontextmanager
async def clients_of_their_own(port: int) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """What tells the process of `idle_clients` a line, and gives its answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, idle_clients.__file__, str(port), stdin=PIPE, stdout=PIPE
    )
    reader, writer = process.stdout, process.stdin
    assert reader is not None and writer is not None

    async def tell(line: str) -> str:
        writer.write(f"{line}\n".encode())
        return (await reader.readline()).decode().strip()

    try:
        yield tell
    finally:
        writer.close()
        await process.wait()


async def test_ten_thousand_idle_connections_do_not_keep_others_from_being_served() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = 10_000 if hard == resource.RLIM_INFINITY else min(10_000, hard // 2 // BATCH * BATCH)
    async with fronting(hello) as front:
        listener = front.places["app"].listener
        async with clients_of_their_own(front.port) as tell:
            for wanted in range(BATCH, count + 1, BATCH):
                assert await tell(str(BATCH)) == str(wanted)
                await eventually(lambda: listener.connections >= wanted, 60)  # noqa: B023
            async with await front.client() as client:
                assert (await client.get()).status == 200
            assert await tell("ask") == "HTTP/1.1 200 OK"
            assert listener.connections >= count
        await eventually(lambda: listener.connections == 0, 60)


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Overloaded, 503),
        (errors.Unavailable, 503),
        (errors.Draining, 503),
        (errors.NotConnected, 503),
        (errors.LinkFailed, 503),
        (errors.DeadlineExceeded, 504),
        (errors.PayloadTooLarge, 413),
        (errors.Trap, 502),
        (errors.LimitExceeded, 502),
        (errors.NotFound, 502),
        (errors.InstanceLost, 502),
        (errors.Internal, 502),
    ],
)
async def test_an_error_before_the_first_byte_has_its_status_and_says_its_kind_alone(
    error: type[LathError], status: int
) -> None:
    async def fails(request: HttpRequest) -> HttpResponse:
        raise error("secrets of the house")

    async with fronting(fails) as front, await front.client() as client:
        answer = await client.get()
        assert answer.status == status
        assert answer.text.endswith(f": {error.kind}\n")
        assert (answer.header("retry-after") == "1") == (status == 503)
        assert (await client.get()).status == status


async def test_an_error_that_is_nobodys_is_500() -> None:
    async def fails(request: HttpRequest) -> HttpResponse:
        raise KeyError("secret")

    async with fronting(fails) as front, await front.client() as client:
        answer = await client.get()
        assert (answer.status, answer.text) == (500, "Internal Server Error: internal\n")


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(101, [], text("").body),
        HttpResponse(999, [], text("").body),
        HttpResponse(200, [("x y", b"")], text("").body),
        HttpResponse(200, [("x", b"a\r\nset-cookie: b")], text("").body),
        HttpResponse(200, [("content-length", b"1"), ("content-length", b"2")], text("").body),
        HttpResponse(200, [("content-length", b"-1")], text("").body),
    ],
)
async def test_a_response_that_is_no_http_is_502(response: HttpResponse) -> None:
    async def odd(request: HttpRequest) -> HttpResponse:
        return response

    async with fronting(odd) as front, await front.client() as client, Http2Client.to(front.port) as two:
        assert (await client.get()).status == 502
        assert (await (await two.ask("GET", "/")).answer()).status == 502
