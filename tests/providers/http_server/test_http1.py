"""HTTP/1.1 and 1.0 by the byte: what is well formed, what is not, and what others would take for another."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from http_front import echo, fronting, hello, streaming, text, whole_body
from http_tls import trusting, write_pair

from lath.http import HttpRequest, HttpResponse, WholeBody
from lath.testing import eventually
from lath_providers.http_server.http1 import SLICE_BYTES, Http1Connection


async def test_a_request_reaches_its_component_as_it_was_sent() -> None:
    async with fronting(hello) as front, await front.client() as client:
        answer = await client.get("/a%20b/?q=%2f&r", "accept: */*", "x-twice: 1", "X-Twice: 2")
        assert (answer.status, answer.text) == (200, "hello\n")
        (seen,) = front.seen
        assert (seen.method, seen.scheme, seen.authority) == ("GET", "http", "localhost")
        assert seen.path_with_query == "/a%20b/?q=%2f&r"
        assert seen.headers == [("accept", b"*/*"), ("x-twice", b"1"), ("x-twice", b"2")]
        assert seen.body is None


async def test_a_connection_serves_request_after_request() -> None:
    async with fronting(echo) as front, await front.client() as client:
        for number in range(3):
            body = f"body {number}"
            await client.send(f"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n{body}")
            assert (await client.answer()).text == body
        assert (await client.get()).body == b""


async def test_an_answer_has_date_and_server_unless_its_guest_sets_them() -> None:
    async def own(request: HttpRequest) -> HttpResponse:
        return text("x", headers=[("Server", b"mine"), ("Date", b"today")])

    async with fronting(hello) as front, await front.client() as client:
        await front.link("own", own, path="/own")
        answer = await client.get()
        assert answer.header("server") == "lath"
        assert (answer.header("date") or "").endswith(" GMT")
        answer = await client.get("/own")
        assert (answer.header("server"), answer.header("date")) == ("mine", "today")


async def test_headers_of_the_connection_pass_in_neither_direction() -> None:
    async def hops(request: HttpRequest) -> HttpResponse:
        return text(
            "x", headers=[("Connection", b"X-Hop"), ("x-hop", b"1"), ("Keep-Alive", b"1"), ("y", b"2")]
        )

    async with fronting(hops) as front, await front.client() as client:
        answer = await client.get("/", "connection: keep-alive, x-mine", "x-mine: 1", "te: gzip", "x: 2")
        assert front.seen[0].headers == [("x", b"2")]
        assert {name for name, _ in answer.headers} == {"y", "date", "server", "transfer-encoding"}
        assert (await client.get()).status == 200


async def test_head_gets_the_headers_alone_and_the_connection_goes_on() -> None:
    async def sized(request: HttpRequest) -> HttpResponse:
        return text("four", headers=[("content-length", b"4")])

    async with fronting(sized) as front, await front.client() as client:
        assert (await client.get(method="HEAD")).header("content-length") == "4"
        assert (await client.get()).text == "four"


async def test_a_body_that_is_there_as_a_whole_comes_with_its_length_and_without_chunks() -> None:
    async def complete(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], WholeBody(b"four"), whole=b"four")

    async with fronting(complete) as front, await front.client() as client:
        for _ in range(2):
            answer = await client.get()
            assert (answer.text, answer.header("content-length")) == ("four", "4")
            assert answer.header("transfer-encoding") is None
        assert (await client.get(method="HEAD")).header("content-length") is None


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body_have_none_whatever_the_guest_writes(status: int) -> None:
    async def bodiless(request: HttpRequest) -> HttpResponse:
        return text("surplus", status=status, headers=[("content-length", b"7")])

    async with fronting(bodiless) as front, await front.client() as client:
        for _ in range(2):
            answer = await client.get()
            assert answer.status == status
            assert answer.header("content-length") is None
            assert answer.header("transfer-encoding") is None


async def test_to_http_1_0_a_body_ends_with_the_connection_and_is_not_chunked() -> None:
    async with fronting(hello) as front, await front.client() as client:
        await client.send("GET / HTTP/1.0\r\n\r\n")
        answer = await client.answer()
        assert (answer.header("transfer-encoding"), answer.header("connection")) == (None, "close")
        assert answer.text == "hello\n"


async def test_a_request_of_http_1_0_that_names_no_host_is_for_the_address_that_it_came_to() -> None:
    async with fronting(hello) as front, await front.client() as client:
        await client.send("GET / HTTP/1.0\r\n\r\n")
        assert (await client.answer()).status == 200
        assert front.seen[0].authority == f"127.0.0.1:{front.port}"


async def test_to_http_1_0_a_body_that_breaks_off_is_a_reset_not_an_end() -> None:
    async def breaks(request: HttpRequest) -> HttpResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"some"
            raise RuntimeError("broken")

        return streaming(chunks())

    async with fronting(breaks) as front, await front.client() as client:
        await client.send("GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionError):
            await client.answer()


async def test_close_is_honoured_and_what_comes_after_is_not_read() -> None:
    async with fronting(hello) as front, await front.client() as client:
        await client.send(
            b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n"
        )
        assert (await client.answer()).header("connection") == "close"
        assert await client.ended()
        assert len(front.seen) == 1


async def test_the_absolute_form_names_the_host() -> None:
    async with fronting(hello) as front, await front.client() as client:
        await client.send("GET http://Other:81?q HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (await client.answer()).status == 200
        assert (front.seen[0].authority, front.seen[0].path_with_query) == ("Other:81", "/?q")


H = "host: a\r\n"
MALFORMED = {
    "no version": ("GET /\r\n\r\n", 505),
    "version 2 in words": (f"GET / HTTP/2.0\r\n{H}\r\n", 505),
    "version 1.2": (f"GET / HTTP/1.2\r\n{H}\r\n", 400),
    "unknown method": (f"BREW / HTTP/1.1\r\n{H}\r\n", 501),
    "connect": (f"CONNECT a:80 HTTP/1.1\r\n{H}\r\n", 501),
    "a space in the target": (f"GET /a b HTTP/1.1\r\n{H}\r\n", 400),
    "a byte in the target": (f"GET /\xff HTTP/1.1\r\n{H}\r\n", 400),
    "a fragment": (f"GET /a#b HTTP/1.1\r\n{H}\r\n", 400),
    "no slash": (f"GET a HTTP/1.1\r\n{H}\r\n", 400),
    "an asterisk": (f"GET * HTTP/1.1\r\n{H}\r\n", 400),
    "user info": (f"GET http://u@b/ HTTP/1.1\r\n{H}\r\n", 400),
    "no host": ("GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (f"GET / HTTP/1.1\r\n{H}host: b\r\n\r\n", 400),
    "a malformed host": ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
    "line feeds alone": ("GET / HTTP/1.1\nhost: a\n\n", 400),
    "a folded header": (f"GET / HTTP/1.1\r\n{H}x: 1\r\n 2\r\n\r\n", 400),
    "a space before the colon": (f"GET / HTTP/1.1\r\n{H}x : 1\r\n\r\n", 400),
    "no colon": (f"GET / HTTP/1.1\r\n{H}x\r\n\r\n", 400),
    "a zero byte": (f"GET / HTTP/1.1\r\n{H}x: \x00\r\n\r\n", 400),
    "garbage": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
    "two lengths": (f"PUT / HTTP/1.1\r\n{H}content-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
    "two equal lengths": (f"PUT / HTTP/1.1\r\n{H}content-length: 1\r\ncontent-length: 1\r\n\r\na", 400),
    "a list of lengths": (f"PUT / HTTP/1.1\r\n{H}content-length: 1, 1\r\n\r\na", 400),
    "a signed length": (f"PUT / HTTP/1.1\r\n{H}content-length: +1\r\n\r\na", 400),
    "a negative length": (f"PUT / HTTP/1.1\r\n{H}content-length: -1\r\n\r\na", 400),
    "a length beyond all": (f"PUT / HTTP/1.1\r\n{H}content-length: {'9' * 30}\r\n\r\na", 400),
    "a length and chunks": (
        f"PUT / HTTP/1.1\r\n{H}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400,
    ),
    "chunks and a length": (
        f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n", 400,
    ),
    "chunks not last": (f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    "another coding": (f"PUT / HTTP/1.1\r\n{H}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked twice": (
        f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "something like chunked": (f"PUT / HTTP/1.1\r\n{H}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunks in 1.0": (f"PUT / HTTP/1.0\r\n{H}transfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
async def test_a_malformed_request_is_refused_and_the_connection_closed_cleanly(case: str) -> None:
    request, status = MALFORMED[case]
    async with fronting(hello) as front, await front.client() as client:
        await client.send(request, f"GET /smuggled HTTP/1.1\r\n{H}\r\n")
        answer = await client.answer()
        assert answer.status == status
        assert answer.header("connection") == "close"
        assert await client.ended()
        assert front.seen == []


async def test_an_unfinished_request_is_no_request_when_its_client_leaves() -> None:
    async with fronting(hello) as front:
        async with await front.client() as client:
            await client.send("GET / HTTP/1.1\r\nhost: a\r\n")
            client.writer.write_eof()
            assert await client.ended()
        assert front.seen == []


async def bodies(request: HttpRequest) -> HttpResponse:
    """Answers with the body and the trailers that came."""
    body = await whole_body(request)
    trailers = request.trailers() if request.trailers else []
    return text(f"{body.decode()} {trailers}")


CHUNKED = f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        ("0\r\n\r\n", " []"),
        ("3\r\nabc\r\n0\r\n\r\n", "abc []"),
        ("3;ext=1;q=\"x\"\r\nabc\r\n00\r\n\r\n", "abc []"),
        ("00000003\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789 []"),
        ("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\nX-Sum: 7\r\n\r\n", "abc [('x-sum', b'7')]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bytewise", [False, True])
async def test_chunks_make_one_body_however_they_are_cut(chunks: str, body: str, bytewise: bool) -> None:
    async with fronting(bodies) as front, await front.client() as client:
        if bytewise:
            for byte in CHUNKED + chunks:
                await client.send(byte)
                await asyncio.sleep(0)
        else:
            await client.send(CHUNKED, chunks)
        assert (await client.answer()).text == body
        assert (await client.get()).status == 200


@pytest.mark.parametrize(
    "chunks",
    [
        "3\nabc\n0\n\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabc",
        "\r\n\r\n",
    ],
)
async def test_malformed_chunks_are_refused_and_nothing_after_them_is_served(chunks: str) -> None:
    async with fronting(bodies) as front, await front.client() as client:
        await client.send(CHUNKED, chunks, f"GET /smuggled HTTP/1.1\r\n{H}\r\n")
        assert (await client.answer()).status == 400
        assert await client.ended()
        assert len(front.seen) <= 1


async def test_trailers_do_not_become_headers() -> None:
    async with fronting(bodies) as front, await front.client() as client:
        await client.send(CHUNKED, "0\r\nauthorization: root\r\nhost: b\r\n\r\n")
        assert (await client.answer()).status == 200
        assert "authorization" not in dict(front.seen[0].headers)
        assert front.seen[0].authority == "a"


async def test_100_continue_is_sent_when_the_guest_reads_and_not_when_it_does_not() -> None:
    async def reads(request: HttpRequest) -> HttpResponse:
        if request.path_with_query == "/no":
            return text("no", status=403)
        return text((await whole_body(request)).decode())

    expecting = f"HTTP/1.1\r\n{H}content-length: 3\r\nexpect: 100-continue\r\n\r\n"
    async with fronting(reads) as front:
        async with await front.client() as client:
            await client.send("PUT / ", expecting)
            assert (await client.head()).status == 100
            await client.send("abc")
            assert (await client.answer()).text == "abc"
            assert ("expect", b"100-continue") not in front.seen[0].headers
        async with await front.client() as client:
            await client.send("PUT /no ", expecting)
            answer = await client.answer()
            assert (answer.status, answer.header("connection")) == (403, "close")
            assert await client.ended()
        async with await front.client() as client:
            await client.send(f"PUT / HTTP/1.1\r\n{H}expect: wonders\r\n\r\n")
            assert (await client.answer()).status == 417


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
async def test_an_upgrade_is_ignored_and_the_body_belongs_to_its_request(upgrade: str) -> None:
    asks = f"connection: upgrade\r\nupgrade: {upgrade}\r\n"
    async with fronting(echo) as front, await front.client() as client:
        await client.send(
            f"GET / HTTP/1.1\r\n{H}{asks}\r\n",
            f"PUT /2 HTTP/1.1\r\n{H}{asks}content-length: 3\r\n\r\nabc",
            f"PUT /3 HTTP/1.1\r\n{H}{asks}transfer-encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n",
        )
        assert [(await client.answer()).text for _ in range(3)] == ["", "abc", "de"]
        assert [request.path_with_query for request in front.seen] == ["/", "/2", "/3"]
        await client.send(f"PUT /4 HTTP/1.1\r\n{H}{asks}content-length: 3\r\n\r\n")
        await eventually(lambda: len(front.seen) == 4)
        await client.send("fgh")
        assert (await client.answer()).text == "fgh"


# --- pipelining ------------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    running = 0

    async def slow(request: HttpRequest) -> HttpResponse:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        return text(request.path_with_query)

    count = 2_000
    async with fronting(slow) as front, await front.client() as client:
        sending = asyncio.create_task(
            client.send("".join(f"GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n" for n in range(count)))
        )
        for number in range(count):
            assert (await client.answer()).text == f"/{number}"
        await sending


BEFORE_PIPELINED = {
    "a length": f"PUT / HTTP/1.1\r\n{H}content-length: 1\r\n\r\na",
    "a large body": f"PUT / HTTP/1.1\r\n{H}content-length: 100000\r\n\r\n" + "a" * 100_000,
    "chunks": f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "trailers": f"PUT / HTTP/1.1\r\n{H}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-a: 1\r\n\r\n",
}


@pytest.mark.parametrize("first", BEFORE_PIPELINED.values(), ids=BEFORE_PIPELINED)
async def test_what_a_client_pipelines_waits_in_the_network_not_in_memory(first: str) -> None:
    turns = asyncio.Semaphore(0)

    async def waits(request: HttpRequest) -> HttpResponse:
        if request.body is not None:
            await whole_body(request)
        await turns.acquire()
        return text("x")

    one = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
    async with fronting(waits) as front, await front.client() as client:
        client.writer.write(first.encode() + one * 1_000_000)
        await eventually(lambda: len(front.seen) == 1)
        (connection,) = front.places["app"].listener._front.connections
        assert isinstance(connection, Http1Connection)
        await eventually(lambda: connection._held)
        for answered in range(1, 30):
            turns.release()
            await eventually(lambda: len(front.seen) > answered)  # noqa: B023  # asked at once
            assert len(connection._waiting) <= SLICE_BYTES // len(one) + 1
            assert len(connection._held) <= 512 * 1024
        assert client.writer.transport.get_write_buffer_size() > 0


async def test_garbage_behind_a_request_does_not_get_into_its_answer() -> None:
    go_on = asyncio.Event()

    async def waits(request: HttpRequest) -> HttpResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"some"
            await go_on.wait()
            yield b" more"

        return streaming(chunks())

    async with fronting(waits) as front, await front.client() as client:
        await client.send(f"GET / HTTP/1.1\r\n{H}\r\n", f"GET /2 HTTP/1.1\r\n{H}\r\n", "garbage\r\n\r\n")
        assert (await client.head()).status == 200
        assert await anext(chunks := client.chunks()) == b"some"
        go_on.set()
        assert [chunk async for chunk in chunks] == [b" more"]
        assert (await client.answer()).text == "some more"
        assert (await client.answer()).status == 501
        assert await client.ended()
        assert len(front.seen) == 2


# --- TLS -------------------------------------------------------------------------------------------


async def test_over_tls_requests_are_https(tmp_path: Path) -> None:
    async with fronting(echo, **write_pair(tmp_path)) as front:
        async with await front.client(trusting()) as client:
            await client.send(f"PUT / HTTP/1.1\r\n{H}content-length: 3\r\n\r\nabc")
            assert (await client.answer()).text == "abc"
            assert front.seen[0].scheme == "https"
        async with await front.client() as plain:
            await plain.send(f"GET / HTTP/1.1\r\n{H}\r\n")
            assert await plain.ended()


async def test_old_tls_is_refused(tmp_path: Path) -> None:
    old = trusting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python itself warns of it
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with fronting(hello, **write_pair(tmp_path)) as front:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await front.client(old)
        async with await front.client(trusting()) as client:
            assert (await client.get()).status == 200


async def test_connections_count_and_end_in_time_before_they_speak_tls(tmp_path: Path) -> None:
    async with fronting(
        hello, connections_max="2", header_timeout_ms="1000", **write_pair(tmp_path)
    ) as front:
        async with await front.client(), await front.client() as second:
            await eventually(lambda: front.places["app"].listener.connections == 2)
            async with await front.client() as third:
                assert await third.ended()
            assert front.places["app"].listener.connections == 2
            assert await second.ended()
        await eventually(lambda: front.places["app"].listener.connections == 0)
        async with await front.client(trusting()) as client:
            assert (await client.get()).status == 200
            assert front.places["app"].listener.connections == 1


async def test_a_listener_closes_while_clients_have_not_spoken_tls_yet(tmp_path: Path) -> None:
    async with fronting(hello, **write_pair(tmp_path)) as front, await front.client() as client:
        listener = front.places["app"].listener
        await eventually(lambda: listener.connections == 1)
        await front.unlink("app")
        assert await client.ended()
        assert listener.connections == 0
