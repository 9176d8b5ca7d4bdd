"""Bodies stream both ways in bounded memory: whoever is slow holds the other back."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from outbound_servers import Body, asking, head, ok, read, serving

from lath.testing import eventually

pytestmark = pytest.mark.timeout(120)
MIB = 1 << 20
SIZE = 64 * MIB
HELD_MAX = 24 * MIB
"""What the system may keep of a connection on its way, on either side, and what aiohttp keeps."""


async def settled(count: list[int]) -> int:
    """The count once it stands still."""
    before = -1
    while before != count[0]:
        before = count[0]
        for _ in range(10):
            await asyncio.sleep(0.005)
    return before


async def test_a_download_waits_for_its_guest_and_then_comes_whole() -> None:
    sent = [0]

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
        for _ in range(SIZE // MIB):
            writer.write(bytes(MIB))
            await writer.drain()
            sent[0] += MIB

    async with serving(send) as server, asking(server.origin) as component:
        response = await component.ask(server.origin)
        assert await settled(sent) < HELD_MAX
        assert response.body is not None
        assert sum([len(chunk) async for chunk in response.body]) == SIZE
        assert sent[0] == SIZE


@pytest.mark.parametrize("headers", [{}, {"content-length": b"%d" % SIZE}])
async def test_an_upload_waits_for_its_server_and_then_arrives_whole(headers: dict[str, bytes]) -> None:
    read_on, came = asyncio.Event(), [0]

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = (await head(reader)).lower()
        assert ("transfer-encoding: chunked" in said) is not headers and ("content-length" in said) is bool(
            headers
        )
        await read_on.wait()
        while came[0] < SIZE and (chunk := await reader.read(MIB)):
            came[0] += len(chunk)
        writer.write(ok(b"thanks", "connection: close"))

    body = Body(itertools.repeat(bytes(65536), SIZE // 65536))
    async with serving(take) as server, asking(server.origin) as component:
        asked = asyncio.create_task(component.text(server.origin, "PUT", headers, body=body))
        await eventually(lambda: body.given > 0)
        given = [body.given]

        async def watch() -> None:
            while True:
                given[0] = body.given
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        assert await settled(given) < HELD_MAX
        watching.cancel()
        read_on.set()
        assert await asked == "thanks"
        assert body.given == SIZE and came[0] >= SIZE


async def test_both_bodies_pass_at_once() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while chunk := await reader.read(65536):  # chunked in, chunked out, byte for byte
            writer.write(chunk)
            await writer.drain()
            if chunk.endswith(b"\r\n0\r\n\r\n"):
                return

    chunks = [bytes([number]) * 10_000 for number in range(200)]
    async with serving(echo) as server, asking(server.origin) as component:
        response = await component.ask(server.origin, "POST", body=Body(chunks))
        assert await read(response) == b"".join(chunks)


async def test_trailers_of_a_request_follow_its_body_as_bytes() -> None:
    came = asyncio.get_running_loop().create_future()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        body = await reader.readuntil(b"0\r\n")
        came.set_result(body + await reader.readuntil(b"\r\n\r\n"))
        writer.write(ok(b"one"))
        await head(reader)
        writer.write(ok(b"two"))

    trailers = [("x-sum", b"7"), ("x-raw", b"\xff")]
    async with serving(take) as server, asking(server.origin) as component:
        body = Body([b"abc"])
        assert await component.text(server.origin, "POST", body=body, trailers=trailers) == "one"
        assert await came == b"3\r\nabc\r\n0\r\nx-sum: 7\r\nx-raw: \xff\r\n\r\n"
        assert await component.text(server.origin) == "two"  # nothing of the first is left on the connection


async def test_a_body_waits_for_the_servers_word_where_the_guest_expects_it() -> None:
    async def word(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert "expect: 100-continue" in (await head(reader)).lower()
        assert body.given == 0
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(ok(b"thanks"))

    body = Body([b"abc"])
    async with serving(word) as server, asking(server.origin) as component:
        expecting = {"expect": b"100-continue"}
        assert await component.text(server.origin, "POST", expecting, body=body) == "thanks"


async def test_a_body_that_the_server_does_not_want_stays_with_the_guest() -> None:
    reply = b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n"
    body = Body([b"abc"])
    async with serving(reply) as server, asking(server.origin) as component:
        response = await component.ask(server.origin, "POST", {"expect": b"100-continue"}, body=body)
        assert response.status == 417
        await read(response)
        await eventually(lambda: body.closed)
    assert body.given == 0
