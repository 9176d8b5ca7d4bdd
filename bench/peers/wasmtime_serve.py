"""`wasmtime serve` as a peer: a component that answers HTTP with the same 66 bytes, an instance a request.

HTTP is not a bus: there is no broker between, no routing and no deadline, and each connection carries one
request at a time. So its figures stand beside those of lath's fresh instances as what they are.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from wasmtime import wat2wasm

from bench.load import Load, closed_loop
from bench.peers import PARAMS, REPLY, Contender

NAME: Final = "wasmtime_serve"
_COMPONENT: Final = Path(__file__).parents[1] / "guests" / "hello_http.wat"
_READY_SECONDS: Final = 60.0
_ADDRESS: Final = re.compile(rb"http://127\.0\.0\.1:(\d+)")
_REQUEST: Final = (b"POST / HTTP/1.1\r\nhost: bench\r\ncontent-length: %d\r\n\r\n" % len(PARAMS)) + PARAMS


def why_no_wasmtime() -> str:
    """Why there is no `wasmtime serve` here; empty where there is."""
    return "" if shutil.which("wasmtime") else "no wasmtime on PATH: cargo install wasmtime-cli"


@asynccontextmanager
async def wasmtime_peer(folder: Path) -> AsyncIterator[Contender]:
    """The contender; `folder` takes its component as a binary, which every build of wasmtime reads."""
    component = folder / "hello_http.wasm"
    component.write_bytes(wat2wasm(_COMPONENT.read_text()))
    process = await asyncio.create_subprocess_exec(
        "wasmtime", "serve", "--addr", "127.0.0.1:0", str(component), stdout=DEVNULL, stderr=PIPE
    )
    try:
        async with asyncio.timeout(_READY_SECONDS):
            port = await _port(process)
        drained = asyncio.create_task(_drain(process))
        connections: list[_Connection] = []

        async def call() -> None:
            connection = connections.pop() if connections else await _Connection.open(port)
            if await connection.ask() != REPLY:
                raise RuntimeError("the body of the answer is not the expected one")
            connections.append(connection)

        async def closed(in_flight: int, seconds: float) -> Load:
            return await closed_loop(call, in_flight, seconds)

        try:
            yield Contender(NAME, closed, call)
        finally:
            for connection in connections:
                connection.close()
            drained.cancel()
    finally:
        process.terminate()
        await process.wait()


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    said = b""
    while line := await process.stderr.readline():
        said += line
        if found := _ADDRESS.search(line):
            return int(found[1])
    raise RuntimeError(f"wasmtime serve ended: {said.decode(errors='replace')}")


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    while await process.stderr.readline():
        pass


class _Connection:
    """HTTP/1.1, kept alive, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> _Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self) -> bytes:
        """The body of the answer: of a content-length, or in chunks."""
        self._writer.write(_REQUEST)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"wasmtime serve answered {head!r}")
        if found := re.search(rb"content-length: (\d+)", head):
            return await self._reader.readexactly(int(found[1]))
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return body

    def close(self) -> None:
        self._writer.close()
