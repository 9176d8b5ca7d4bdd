"""How requests end before their time: the client gone, the guest broken, the link or the server gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from http2_client import Http2Client
from http_front import Body, Component, echo, fronting, hello, streaming, text, whole_body
from http_tls import trusting, write_pair

from lath.errors import Trap
from lath.http import HttpRequest, HttpResponse
from lath.testing import eventually

REQUEST = "GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Waiting:
    """A component that waits to be let go on, at one point or another."""

    def __init__(self, where: str = "") -> None:
        self.where = where
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()
        self.body: Body | None = None

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if self.where == "body":
            response = streaming(self._chunks())
            assert isinstance(response.body, Body)
            self.body = response.body
            return response
        try:
            if self.where == "request":
                await whole_body(request)
            await self.go_on.wait()
        finally:
            self.ended.set()
        return text("done")

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            yield b"begun "
            await self.go_on.wait()
            yield b"done"
        finally:
            self.ended.set()


# --- the client is gone ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["", "request", "body"])
@pytest.mark.parametrize("how", ["reset", "close", "half"])
async def test_a_client_that_goes_away_ends_its_guest(where: str, how: str) -> None:
    component = Waiting(where)
    async with fronting(component) as front:
        client = await front.client()
        if where == "request":
            await client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n01234")
        else:
            await client.send(REQUEST)
        await eventually(lambda: front.seen)
        if where == "body":
            await client.head()
        if how == "reset":
            client.writer.transport.abort()
        elif how == "close":
            client.writer.close()
        else:
            client.writer.write_eof()
        await asyncio.wait_for(component.ended.wait(), 10)
        await eventually(lambda: front.places["app"].listener.connections == 0)
        assert front.places["app"].served.running == 0
        assert component.body is None or component.body.closed
        client.writer.transport.abort()


async def test_of_pipelined_requests_only_the_one_that_ran_was_begun_when_the_client_goes_away() -> None:
    component = Waiting()
    async with fronting(component) as front:
        async with await front.client() as client:
            await client.send(REQUEST * 3)
            await eventually(lambda: front.seen)
        await asyncio.wait_for(component.ended.wait(), 10)
        await eventually(lambda: front.places["app"].listener.connections == 0)
        assert len(front.seen) == 1


async def test_a_thousand_clients_that_go_away_leave_nothing() -> None:
    async def slow(request: HttpRequest) -> HttpResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with fronting(slow) as front:
        clients = await asyncio.gather(*(front.client() for _ in range(1_000)))
        for client in clients:
            client.writer.write(REQUEST.encode())
        await eventually(lambda: front.places["app"].served.running == 1_000)
        for client in clients:
            client.writer.transport.abort()
        await eventually(lambda: front.places["app"].served.running == 0)
        await eventually(lambda: front.places["app"].listener.connections == 0)


# --- the guest breaks off ----------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [[], [("content-length", b"100")]])
async def test_a_guest_that_fails_after_the_first_byte_is_a_reset(headers: list[tuple[str, bytes]]) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"some"
        raise Trap("unreachable")

    async def breaks(request: HttpRequest) -> HttpResponse:
        return streaming(chunks(), headers=headers)

    async with fronting(breaks) as front, await front.client() as client:
        await client.send(REQUEST)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.answer()
        assert not await client.ended()


@pytest.mark.parametrize("body", ["too long", "sh"])
async def test_a_body_of_another_length_than_it_was_said_to_have_is_a_reset(body: str) -> None:
    async def lies(request: HttpRequest) -> HttpResponse:
        return text(body, headers=[("content-length", b"4")])

    async with fronting(lies) as front, await front.client() as client:
        await client.send(REQUEST)
        with pytest.raises(ConnectionError):
            await client.reader.readexactly(10_000)


# --- back-pressure -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
async def test_a_client_that_does_not_read_holds_its_guest_back(version: int) -> None:
    made = 0

    async def endless(request: HttpRequest) -> HttpResponse:
        async def chunks() -> AsyncIterator[bytes]:
            nonlocal made
            while True:
                made += 64 * 1024
                yield bytes(64 * 1024)

        return streaming(chunks())

    async with fronting(endless) as front, await front.client() as one, Http2Client.to(front.port) as two:
        if version == 1:
            one.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await one.send(REQUEST)
        else:
            two.h2.acknowledge_received_data = lambda *_: None  # type: ignore[method-assign]
            await two.ask("GET", "/")
        await eventually(lambda: made)
        before = -1
        while made != before:
            before = made
            for _ in range(100):
                await asyncio.sleep(0)
        assert made < 20 * 2**20


async def test_a_guest_that_does_not_read_holds_its_client_back() -> None:
    component = Waiting()
    async with fronting(component) as front, await front.client() as client:
        size = 64 * 2**20
        await front.link("large", component, path="/large", body_bytes_max=str(size))
        await client.send(f"PUT /large HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n")
        await eventually(lambda: front.seen)
        client.writer.write(bytes(size))
        for _ in range(200):
            await asyncio.sleep(0)
        assert client.writer.transport.get_write_buffer_size() > 32 * 2**20
        (connection,) = front.places["large"].listener._front.connections
        assert connection.cycle.waiting < 2**20  # type: ignore[attr-defined]


@pytest.mark.parametrize("version", ["1", "1 over TLS", "2"])
async def test_a_large_body_passes_both_ways_as_a_stream(version: str, tmp_path: Path) -> None:
    piece = bytes(range(251)) * 4177  # of a length that no buffer has
    count = 4 if version == "2" else 20  # both ends of HTTP/2 are Python here
    size = count * len(piece)
    tls = version == "1 over TLS"
    async with fronting(echo, body_bytes_max=str(size), **(write_pair(tmp_path) if tls else {})) as front:
        if version == "2":
            async with Http2Client.to(front.port) as two:
                stream = await two.ask("PUT", "/", end=False)
                two_sending = asyncio.create_task(stream.send(piece * count, end=True))
                assert (await stream.answer()).body == piece * count
                await two_sending
            return
        async with await front.client(trusting() if tls else None) as client:

            async def send() -> None:
                await client.send(f"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n")
                for _ in range(count):
                    await client.send(piece)

            sending = asyncio.create_task(send())
            assert (await client.head()).status == 200
            assert b"".join([chunk async for chunk in client.chunks()]) == piece * count
            await sending


# --- links and servers that go -----------------------------------------------------------------------


async def test_a_link_that_goes_lets_its_requests_finish_and_takes_no_more() -> None:
    component = Waiting("body")
    async with fronting(component, path="/a", drain_ms="10000") as front:
        await front.link("other", hello, path="/other")
        async with await front.client() as client, await front.client() as second:
            await client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
            await client.head()
            place = front.places["app"]
            going = asyncio.create_task(front.unlink("app"))
            await eventually(lambda: place.served.leaving)
            await eventually(lambda: len(place.listener.routes) == 1)
            assert (await second.get("/a")).status == 404
            assert (await second.get("/other")).status == 200
            assert not going.done()
            component.go_on.set()
            assert [chunk async for chunk in client.chunks()] == [b"begun ", b"done"]
            await going
            assert (await client.get("/other")).status == 200


@pytest.mark.parametrize(("where", "status"), [("", 503), ("body", 200)])
async def test_requests_that_do_not_finish_in_time_are_ended_and_nobody_elses(
    where: str, status: int
) -> None:
    component = Waiting(where)
    async with fronting(component, path="/a") as front:
        other = Waiting()
        await front.link("other", other, path="/other")
        async with await front.client() as client, await front.client() as second:
            await client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
            await second.send("GET /other HTTP/1.1\r\nhost: a\r\n\r\n")
            await eventually(lambda: len(front.seen) == 2)
            if where == "body":
                assert (await client.head()).status == status
            await front.unlink("app")
            if where == "body":
                assert not await client.ended()
            else:
                assert (await client.answer()).status == status
            assert component.ended.is_set()
            other.go_on.set()
            assert (await second.answer()).text == "done"


async def test_the_last_link_that_goes_closes_the_listener_gracefully() -> None:
    component = Waiting("body")
    async with (
        fronting(component, drain_ms="10000") as front,
        await front.client() as idle,
        await front.client() as busy,
        Http2Client.to(front.port) as two,
    ):
        await idle.get("/nowhere", method="HEAD")
        await busy.send(REQUEST)
        await busy.head()
        stream = await two.ask("GET", "/")
        await eventually(lambda: len(front.seen) >= 3)
        going = asyncio.create_task(front.unlink("app"))
        assert await idle.ended()
        with pytest.raises(OSError, match="Connect call failed"):
            await front.client()
        await eventually(lambda: two.terminated)
        refused = await two.ask("GET", "/")
        component.go_on.set()
        assert [chunk async for chunk in busy.chunks()] == [b"begun ", b"done"]
        assert await busy.ended()
        assert (await stream.answer()).text == "begun done"
        await refused.ended()
        assert not refused.whole
        await two.closed()
        await going


async def test_a_response_that_has_not_begun_says_that_the_connection_closes() -> None:
    component = Waiting()
    async with fronting(component, drain_ms="10000") as front, await front.client() as client:
        await client.send(REQUEST)
        await eventually(lambda: front.seen)
        going = asyncio.create_task(front.unlink("app"))
        await eventually(lambda: not front.listeners._open)
        component.go_on.set()
        answer = await client.answer()
        assert (answer.text, answer.header("connection")) == ("done", "close")
        assert await client.ended()
        await going


async def test_a_listener_that_closes_is_not_held_up_by_clients_that_stay() -> None:
    component: Component = hello
    async with fronting(component) as front, await front.client() as client:
        await client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\nconnection: close\r\n\r\n01234")
        assert (await client.answer()).status == 200
        await front.unlink("app")
