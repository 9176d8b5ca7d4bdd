"""Whatever a server sends, its guest gets a response or an error code of the standard's."""

from __future__ import annotations

import asyncio
import random
import re
from importlib import resources
from pathlib import Path

import pytest
from outbound_servers import asking, head, read, serving

import lath_host.outbound
from lath_host.engine.http.messages import HttpFailure

pytestmark = pytest.mark.timeout(120)
ROUNDS = 400
SEED = 20
CASE = r'"((?:DNS|TLS|HTTP|connection|destination|internal)-[A-Za-z-]+)"'
PIECES = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 ", b"HTTP/1.0 404 Not Found\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204\r\n", b"HTTP/2 200\r\n", b"content-length: 3\r\n", b"content-length: -1\r\n",
    b"transfer-encoding: chunked\r\n", b"transfer-encoding: gzip\r\n", b"connection: close\r\n",
    b"a: \xff\r\n", b"\r\n", b"\n", b"\0", b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n", b"fffffffffffffffff\r\n",
    b"\xff" * 9, b" folded\r\n",
]  # fmt: skip


def standard_cases() -> set[str]:
    text = resources.files("lath.wit").joinpath("wasi-http-0.2.0.wit").read_text()
    variant = re.search(r"variant error-code \{(.*?)\n\s*\}", text, re.DOTALL)
    assert variant is not None
    return set(re.findall(r"^\s*([A-Za-z][A-Za-z-]*)", re.sub(r"//.*", "", variant[1]), re.MULTILINE))


def test_every_error_that_is_told_is_a_case_of_the_standards() -> None:
    told = {
        case
        for path in Path(lath_host.outbound.__file__).parent.glob("*.py")
        for case in re.findall(CASE, path.read_text())
    }
    assert len(told) > 20
    assert told <= standard_cases()


async def test_no_reply_however_broken_brings_anything_else_about() -> None:
    chance = random.Random(SEED)
    reply = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(reply)

    ends = set()
    async with serving(answer) as server, asking(server.origin) as component:
        for _ in range(ROUNDS):
            start = [PIECES[0]] if chance.random() < 0.7 else []
            reply = b"".join(start + chance.choices(PIECES, k=chance.randrange(7)))
            try:
                async with asyncio.timeout(5):
                    await read(await component.ask(server.origin, "POST"))
                    ends.add("ok")
            except HttpFailure as failure:
                ends |= failure.code.keys()
    assert "internal-error" not in ends
    assert {"ok", "HTTP-protocol-error", "connection-terminated"} <= ends
