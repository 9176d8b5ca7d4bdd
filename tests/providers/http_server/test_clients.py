"""The server as usual clients see it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from http_front import Body, echo, fronting, hello
from http_tls import CERT, trusting, write_pair

from lath.http import HttpRequest, HttpResponse


async def test_aiohttp_streams_both_ways_over_plain_and_tls(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield bytes([number]) * 10_000

    expected = b"".join([piece async for piece in pieces()])
    for tls in ({}, write_pair(tmp_path)):
        async with fronting(echo, **tls) as front, aiohttp.ClientSession() as session:
            url = f"{'https' if tls else 'http'}://localhost:{front.port}/"
            for _ in range(2):
                async with session.post(url, data=pieces(), ssl=trusting() if tls else False) as response:
                    assert response.status == 200
                    assert await response.read() == expected
            async with session.get(url, ssl=trusting() if tls else False) as response:
                assert await response.read() == b""


CURL = shutil.which("curl")


@pytest.mark.skipif(CURL is None, reason="there is no curl")
@pytest.mark.parametrize(
    "flags",
    [("--http1.0",), ("--http1.1",), ("--http2",), ("--http2-prior-knowledge",), ("--head",), ("--tls",)],
)
async def test_curl_gets_its_answer_by_every_version(tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert CURL is not None
    tls = write_pair(tmp_path) if flags == ("--tls",) else {}
    trusted = tmp_path / "ca.pem"
    trusted.write_text(CERT)
    async with fronting(hello, **tls) as front:
        url = f"{'https' if tls else 'http'}://localhost:{front.port}/"
        options = ("--cacert", str(trusted)) if tls else flags
        process = await asyncio.create_subprocess_exec(
            CURL, "-s", "-i", "--max-time", "10", *options, url, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert b" 200" in out.splitlines()[0]
        assert out.endswith(b"hello\n") == (flags != ("--head",))


async def test_what_goes_wrong_after_the_response_is_whole_does_not_reach_its_client() -> None:
    class Late(Body):
        async def aclose(self) -> None:
            await super().aclose()
            raise RuntimeError("too late")

    async def chunks() -> AsyncIterator[bytes]:
        yield b"whole"

    async def late(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], Late(chunks()))

    async with fronting(late) as front, await front.client() as client:
        assert (await client.get()).text == "whole"
        assert (await client.get()).status == 200
