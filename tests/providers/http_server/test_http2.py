"""HTTP/2, by the preface and by ALPN: streams side by side, flow control, trailers, what clients abuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from http2_client import Http2Client
from http_front import echo, fronting, hello, streaming, text, whole_body
from http_tls import trusting, write_pair
from hyperframe.frame import GoAwayFrame, PingFrame, WindowUpdateFrame

from lath.http import HttpRequest, HttpResponse
from lath.testing import eventually
from lath_providers.http_server.http2 import RESETS_BURST, STREAM_WINDOW_BYTES, STREAMS_MAX


async def test_a_request_reaches_its_component_as_it_was_sent() -> None:
    async with fronting(hello) as front, Http2Client.to(front.port) as client:
        stream = await client.ask(
            "GET", "/a%20b?q", headers=[("x", "1"), ("cookie", "a=1"), ("cookie", "b=2")]
        )
        answer = await stream.answer()
        assert (answer.status, answer.text) == (200, "hello\n")
        assert answer.header("server") == "lath"
        assert answer.header("date") is not None
        (seen,) = front.seen
        assert (seen.method, seen.scheme, seen.authority) == ("GET", "http", "localhost")
        assert seen.path_with_query == "/a%20b?q"
        assert seen.headers == [("x", b"1"), ("cookie", b"a=1; b=2")]
        assert seen.body is None


async def test_both_versions_are_served_at_one_port() -> None:
    async with fronting(hello) as front, Http2Client.to(front.port) as two, await front.client() as one:
        assert (await one.get()).text == "hello\n"
        assert (await (await two.ask("GET", "/")).answer()).text == "hello\n"


async def test_the_preface_is_known_also_byte_by_byte_and_what_only_begins_like_it_is_http_1() -> None:
    async with fronting(hello) as front:
        async with Http2Client.to(front.port, bytewise=True) as client:
            assert (await (await client.ask("GET", "/")).answer()).status == 200
        async with await front.client() as one:
            await one.send("P")
            await asyncio.sleep(0)
            await one.send("UT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
            assert (await one.answer()).status == 200


async def test_tls_chooses_by_alpn(tmp_path: Path) -> None:
    async with fronting(hello, **write_pair(tmp_path)) as front:
        async with Http2Client.to(front.port, trusting()) as client:
            assert (await (await client.ask("GET", "/")).answer()).status == 200
            assert front.seen[0].scheme == "https"
        async with await front.client(trusting()) as one:
            assert (await one.get()).status == 200


async def test_bodies_and_trailers_pass_both_ways() -> None:
    async def trailing(request: HttpRequest) -> HttpResponse:
        body = await whole_body(request)
        assert request.trailers is not None
        response = text(body.decode())
        response.trailers = request.trailers()
        return response

    async with fronting(trailing) as front, Http2Client.to(front.port) as client:
        stream = await client.ask("POST", "/", end=False)
        await stream.send(b"some ")
        await stream.send(b"body")
        await stream.end([("x-sum", "7")])
        answer = await stream.answer()
        assert answer.text == "some body"
        assert stream.trailers == [("x-sum", "7")]


async def test_requests_on_one_connection_run_beside_each_other() -> None:
    gate = asyncio.Event()

    async def first_waits(request: HttpRequest) -> HttpResponse:
        if request.path_with_query == "/0":
            await gate.wait()
        else:
            gate.set()
        return text(request.path_with_query)

    async with fronting(first_waits) as front, Http2Client.to(front.port) as client:
        streams = [await client.ask("GET", f"/{number}") for number in range(50)]
        assert [(await stream.answer()).text for stream in streams] == [f"/{number}" for number in range(50)]


async def test_a_body_that_nobody_reads_holds_its_window_and_nobody_else() -> None:
    go_on = asyncio.Event()

    async def first_does_not_read(request: HttpRequest) -> HttpResponse:
        if request.path_with_query == "/0":
            await go_on.wait()
        return await echo(request)

    body = bytes(3 * STREAM_WINDOW_BYTES)
    async with fronting(first_does_not_read) as front, Http2Client.to(front.port) as client:
        unread = await client.ask("POST", "/0", end=False)
        sending = asyncio.create_task(unread.send(body))
        await eventually(lambda: client.h2.local_flow_control_window(unread.id) == 0)
        other = await client.ask("POST", "/1", end=False)
        other_sending = asyncio.create_task(other.send(body, end=True))
        assert (await other.answer()).body == body
        await other_sending
        assert not sending.done()
        go_on.set()
        await sending
        await unread.end()
        assert (await unread.answer()).body == body


async def test_empty_frames_open_no_window_for_a_body_that_nobody_reads() -> None:
    async def reads_nothing(request: HttpRequest) -> HttpResponse:
        if request.path_with_query == "/idle":
            await asyncio.Event().wait()
        return await hello(request)

    async with fronting(reads_nothing) as front, Http2Client.to(front.port) as client:
        stream = await client.ask("PUT", "/idle", end=False)
        await client.until(lambda: client.h2.local_flow_control_window(stream.id) == STREAM_WINDOW_BYTES)
        size = client.h2.max_outbound_frame_size
        for _ in range(STREAM_WINDOW_BYTES // size):
            client.h2.send_data(stream.id, bytes(size))
        client.h2.send_data(stream.id, b"")
        await client.flush()
        await (await client.ask("GET", "/")).answer()  # so all of that has arrived, and so would a window
        assert client.h2.local_flow_control_window(stream.id) == 0


async def test_a_response_goes_on_as_its_client_opens_the_window() -> None:
    body = bytes(range(256)) * 4096

    async def large(request: HttpRequest) -> HttpResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield body

        return streaming(chunks())

    async with fronting(large) as front, Http2Client.to(front.port, window_bytes=1_000) as client:
        answers = [await (await client.ask("GET", "/")).answer() for _ in range(2)]
        assert all(answer.body == body for answer in answers)


async def test_head_and_bodiless_statuses_end_with_their_headers() -> None:
    async def sized(request: HttpRequest) -> HttpResponse:
        status = 204 if request.path_with_query == "/204" else 200
        return text("four", status=status, headers=[("content-length", b"4")])

    async with fronting(sized) as front, Http2Client.to(front.port) as client:
        head = await (await client.ask("HEAD", "/")).answer()
        assert (head.header("content-length"), head.body) == ("4", b"")
        none = await (await client.ask("GET", "/204")).answer()
        assert (none.status, none.header("content-length"), none.body) == (204, None, b"")


async def test_a_response_that_breaks_off_is_reset_and_the_others_go_on() -> None:
    async def breaks(request: HttpRequest) -> HttpResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"some"
            raise RuntimeError("broken")

        return streaming(chunks()) if request.path_with_query == "/bad" else text("good")

    async with fronting(breaks) as front, Http2Client.to(front.port) as client:
        bad, good = await client.ask("GET", "/bad"), await client.ask("GET", "/good")
        await bad.ended()
        assert (bad.body, bad.reset_code) == (b"some", ErrorCodes.INTERNAL_ERROR)
        assert (await good.answer()).text == "good"


async def test_a_request_answered_before_its_body_ends_does_not_disturb_the_connection() -> None:
    async with fronting(hello) as front, Http2Client.to(front.port) as client:
        await front.link("small", echo, path="/small", body_bytes_max="10")
        early = await client.ask("POST", "/", end=False)
        assert (await early.answer()).text == "hello\n"
        assert early.reset_code == ErrorCodes.NO_ERROR
        client.raw_data(early.id, b"late")
        declared = await client.ask("POST", "/small", headers=[("content-length", "11")], end=False)
        assert (await declared.answer()).status == 413
        counted = await client.ask("POST", "/small", end=False)
        await counted.send(b"12345678901")
        assert (await counted.answer(broken_off=True)).status in (0, 200, 413)
        assert (await (await client.ask("GET", "/")).answer()).status == 200
        assert client.h2.outbound_flow_control_window > 0


async def test_a_stream_that_its_client_resets_ends_the_guest() -> None:
    ended = asyncio.Event()

    async def waits(request: HttpRequest) -> HttpResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with fronting(waits) as front, Http2Client.to(front.port) as client:
        stream = await client.ask("GET", "/")
        await eventually(lambda: front.seen)
        client.reset(stream.id)
        await asyncio.wait_for(ended.wait(), 10)
        assert front.places["app"].served.running == 0


async def test_too_large_headers_are_answered_with_431_and_the_connection_goes_on() -> None:
    async with fronting(hello, header_bytes_max="2000") as front, Http2Client.to(front.port) as client:
        assert (await (await client.ask("GET", "/", headers=[("x", "y" * 3_000)])).answer()).status == 431
        assert (await (await client.ask("GET", "/")).answer()).status == 200
        await client.ask("GET", "/", headers=[("x", "y" * 50_000)])
        assert (await client.closed()).error_code == ErrorCodes.ENHANCE_YOUR_CALM


async def test_too_large_trailers_reset_their_stream_and_the_connection_goes_on() -> None:
    async with (
        fronting(whole_and_hello, header_bytes_max="1024") as front,
        Http2Client.to(front.port) as client,
    ):
        stream = await client.ask("PUT", "/", end=False)
        client.h2.send_headers(stream.id, [("x", "y" * 2_000)], end_stream=True)
        await client.flush()
        await client.until(lambda: stream.reset_code is not None or stream.whole)
        assert stream.reset_code == ErrorCodes.ENHANCE_YOUR_CALM
        assert (await (await client.ask("GET", "/")).answer()).status == 200


async def test_more_streams_than_allowed_end_the_connection() -> None:
    async def waits(request: HttpRequest) -> HttpResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with fronting(waits) as front, Http2Client.to(front.port) as client:
        for _ in range(STREAMS_MAX + 1):
            await client.ask("GET", "/", beyond_limits=True)
        await client.closed()
        await eventually(lambda: front.places["app"].served.running == 0)


async def test_a_client_that_resets_stream_after_stream_is_sent_away() -> None:
    async with fronting(hello) as front, Http2Client.to(front.port) as client:
        for _ in range(RESETS_BURST + 200):
            if client.terminated is not None:
                break
            stream = await client.ask("GET", "/")
            client.reset(stream.id)
        assert (await client.closed()).error_code == ErrorCodes.ENHANCE_YOUR_CALM
        await eventually(lambda: front.places["app"].served.running == 0)


async def test_a_client_that_makes_answers_and_does_not_take_them_is_cut_off() -> None:
    pings = PingFrame(0, b"01234567").serialize() * 10_000
    async with fronting(hello) as front, Http2Client.to(front.port, receive_bytes=4096) as client:
        client.deaf()

        async def flood() -> None:
            for _ in range(100):
                client.raw(pings)
                await client.drain()

        with pytest.raises(ConnectionError):
            await flood()
        await eventually(lambda: front.places["app"].listener.connections == 0)


@pytest.mark.parametrize("garbage", [b"\x00" * 20, b"\xff" * 100, b"\x00\x00\x00\x07\x07\x00\x00\x00\x00"])
async def test_malformed_frames_end_the_connection_and_nothing_else(garbage: bytes) -> None:
    async with fronting(hello) as front:
        async with Http2Client.to(front.port) as client:
            client.raw(garbage)
            await client.closed()
        async with Http2Client.to(front.port) as client:
            assert (await (await client.ask("GET", "/")).answer()).status == 200


async def test_connect_is_not_served() -> None:
    async with fronting(hello) as front, Http2Client.to(front.port) as client:
        assert (await (await client.ask("CONNECT", "")).answer()).status == 501
        assert front.seen == []


async def test_frames_that_bring_nothing_win_no_time() -> None:
    async def large(request: HttpRequest) -> HttpResponse:
        return streaming(_ones())

    async with fronting(large, stall_timeout_ms="200") as front:
        await front.link("reader", whole_and_hello, path="/read")
        async with Http2Client.to(front.port, window_bytes=1_000) as client:
            client.h2.acknowledge_received_data = lambda *_: None  # type: ignore[method-assign]
            taken = await client.ask("GET", "/")
            sent = await client.ask("PUT", "/read", end=False)

            def cut_off() -> bool:
                client.raw(WindowUpdateFrame(0, window_increment=1).serialize())
                if not sent.headers:
                    client.raw_data(sent.id, b"")
                return taken.reset_code is not None and bool(sent.headers)

            await eventually(cut_off)
            assert dict(sent.headers)[":status"] == "408"


async def test_a_client_that_takes_nothing_is_cut_off_whatever_it_asks_for_meanwhile() -> None:
    async def large(request: HttpRequest) -> HttpResponse:
        return streaming(_ones())

    async with (
        fronting(large, stall_timeout_ms="200") as front,
        Http2Client.to(front.port, window_bytes=2**30, receive_bytes=4096) as client,
    ):
        client.raw(WindowUpdateFrame(0, window_increment=2**30).serialize())
        await client.ask("GET", "/")
        client.deaf()

        def cut_off() -> bool:
            other = client.h2.get_next_available_stream_id()
            client.h2.send_headers(other, ASKED, end_stream=True)
            client.reset(other)
            return front.places["app"].listener.connections == 0

        await eventually(lambda: bool(front.seen))
        await eventually(cut_off)
        await eventually(lambda: front.places["app"].served.running == 0)


async def test_a_client_that_says_goodbye_and_takes_nothing_ends_what_it_had_asked_for() -> None:
    async def large(request: HttpRequest) -> HttpResponse:
        return streaming(_ones())

    async with (
        fronting(large) as front,
        Http2Client.to(front.port, window_bytes=2**30, receive_bytes=4096) as client,
    ):
        client.raw(WindowUpdateFrame(0, window_increment=2**30).serialize())
        await client.ask("GET", "/")
        client.deaf()
        await eventually(lambda: bool(front.seen))
        client.raw(GoAwayFrame(0, last_stream_id=0, error_code=0).serialize())
        await eventually(lambda: front.places["app"].served.running == 0)


ASKED = [(":method", "GET"), (":authority", "localhost"), (":scheme", "http"), (":path", "/")]


async def _ones() -> AsyncIterator[bytes]:
    while True:
        yield b"1" * 65_536


async def whole_and_hello(request: HttpRequest) -> HttpResponse:
    await whole_body(request)
    return await hello(request)
