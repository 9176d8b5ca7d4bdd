"""Trailers of responses: to whom they are sent, how they are announced, and which are not sent at all."""

from __future__ import annotations

import pytest
from http_front import Front, fronting, streaming, text

from lath.http import Header, HttpRequest, HttpResponse

GET = "GET / HTTP/{version}\r\nhost: a\r\n{more}\r\n"


class Component:
    """Answers with a body and trailers.

    Args:
        announced: What its header says of them.
        whole: Whether all of the body is there at once.
    """

    def __init__(self, *trailers: Header, headers: tuple[Header, ...] = (), whole: bool = False) -> None:
        self.sent = trailers
        self.headers = headers
        self.whole = whole

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if self.whole:
            response = text("body", headers=list(self.headers))
            response.whole, response.trailers = b"body", list(self.sent)
            return response

        async def chunks() -> object:
            yield b"bo"
            yield b"dy"
            response.trailers.extend(self.sent)

        response = streaming(chunks(), headers=list(self.headers))  # type: ignore[arg-type]
        return response


async def raw(front: Front, more: str = "te: trailers\r\n", version: str = "1.1") -> str:
    """All that comes for a request, up to the connection's end."""
    async with await front.client() as client:
        await client.send(GET.format(version=version, more=f"connection: close\r\n{more}"))
        return (await client.reader.read()).decode()


async def test_they_follow_the_last_chunk_where_the_client_said_that_it_takes_them() -> None:
    async with fronting(Component(("X-Sum", b"7"), ("x-more", b"a b"))) as front:
        head, _, body = (await raw(front, "TE: deflate;q=0.5, Trailers\r\n")).partition("\r\n\r\n")
    assert "transfer-encoding: chunked" in head
    assert body == "2\r\nbo\r\n2\r\ndy\r\n0\r\nx-sum: 7\r\nx-more: a b\r\n\r\n"


@pytest.mark.parametrize("more", ["", "te: gzip\r\n", "te: \r\n"])
async def test_they_are_left_out_where_it_has_not(more: str) -> None:
    async with fronting(Component(("x-sum", b"7"), headers=(("trailer", b"x-sum"),))) as front:
        answer = await raw(front, more)
    assert answer.endswith("2\r\ndy\r\n0\r\n\r\n")
    assert "x-sum" not in answer


async def test_those_that_are_there_when_the_response_begins_are_announced() -> None:
    async with fronting(Component(("x-sum", b"7"), ("x-more", b"8"), whole=True)) as front:
        head, _, body = (await raw(front)).partition("\r\n\r\n")
    assert "trailer: x-sum, x-more" in head.split("\r\n")
    assert body.endswith("0\r\nx-sum: 7\r\nx-more: 8\r\n\r\n")


async def test_those_to_come_are_announced_as_their_guest_does() -> None:
    async with fronting(Component(("x-sum", b"7"), headers=(("Trailer", b"X-Sum"),))) as front:
        head, _, _ = (await raw(front)).partition("\r\n\r\n")
    assert "trailer: X-Sum" in head.split("\r\n")


async def test_what_says_where_a_message_ends_or_goes_is_no_trailer() -> None:
    bad = [("content-length", b"9"), ("transfer-encoding", b"chunked"), ("host", b"b"), ("x", b"a\r\nb: c")]
    async with fronting(Component(*bad, ("x-sum", b"7"))) as front:
        _, _, body = (await raw(front)).partition("\r\n\r\n")
    assert body.endswith("0\r\nx-sum: 7\r\n\r\n")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_body_without_chunks_has_none(version: str) -> None:
    length = (("content-length", b"4"),) if version == "1.1" else ()
    async with fronting(Component(("x-sum", b"7"), headers=length)) as front:
        answer = await raw(front, version=version)
    assert answer.endswith("\r\n\r\nbody")


async def test_a_connection_goes_on_behind_them() -> None:
    async with fronting(Component(("x-sum", b"7"))) as front, await front.client() as client:
        await client.send(*[GET.format(version="1.1", more="te: trailers\r\n")] * 2)
        for _ in range(2):
            await client.reader.readuntil(b"0\r\nx-sum: 7\r\n\r\n")
