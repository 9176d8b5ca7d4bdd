"""The server that is counted in one process answers as one with sockets does."""

from __future__ import annotations

from contextlib import AsyncExitStack

from bench.http_in_process import open_hello
from bench.peers import REPLY

from lath_host.engine import Engine


async def test_a_hello_in_one_process_is_the_components() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine(tick_ms=1_000, instances_max=4))
        wire = await open_hello(stack, engine, reuse=True)
        answers = [await wire.ask() for _ in range(3)]
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\ncontent-length: 66\r\n\r\n" + REPLY)
