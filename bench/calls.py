"""What a call into a component costs beside bare NATS and gRPC: a small echo between two processes.

    python bench/calls.py [--seconds 1.0] [--rounds 5] [--json FILE]

Beside the contenders of bench/contenders.py: `component` is a call into a Python component on a host in a
process of its own, warm, with reuse on; `fresh` the same with a new instance for every call.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path

import msgpack
from contenders import LATTICE, PAYLOAD, Call, Results, compare, contenders, peer, show

from lath.model import ComponentLimits
from lath.names import NO_LINK, InterfaceName
from lath.server import Server
from lath.subjects import call_tail
from lath.testing import eventually
from lath_control.build import build
from lath_control.client import Client, NoLattice

ECHO = InterfaceName("bench", "echo", "echo")
TAIL = call_tail("_client", NO_LINK, ECHO, "echo")
PARAMS = msgpack.packb([msgpack.unpackb(PAYLOAD)])
AT_ONCE = 64


@contextlib.asynccontextmanager
async def host(url: str, folder: Path) -> AsyncIterator[None]:
    """A host in a process of its own."""
    env = os.environ | {"LATH_LOG_LEVEL": "error"}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lath_host", "--nats-url", url, "--lattice", LATTICE,
        "--data-dir", str(folder / "cache"), stdin=DEVNULL, stdout=DEVNULL, env=env,
    )  # fmt: skip
    try:
        yield
    finally:
        child.terminate()
        await child.wait()


@contextlib.asynccontextmanager
async def components(url: str, folder: Path) -> AsyncIterator[dict[str, Call]]:
    """The two ways of calling a component, as contenders."""
    wasm = Path((await build(Path(__file__).parent / "echo", output=folder / "echo.wasm")).path)
    async with host(url, folder), contextlib.AsyncExitStack() as stack:

        async def connected() -> Client | None:
            client = Client(url, lattice=LATTICE)
            try:
                await client.connect()
            except NoLattice:
                return None
            return client if client.presence.hosts() else await client.close()

        client = await eventually(connected, 30)
        stack.push_async_callback(client.close)
        for name, reuse in (("reused", True), ("fresh", False)):
            await client.components.start(
                str(wasm),
                component_id=name,
                count=AT_ONCE,
                limits=ComponentLimits(reuse=reuse),
                wait_ms=120_000,
            )

        def contender(target: str) -> Call:
            async def call() -> bytes:
                return await client.caller.call(target, TAIL, PARAMS, linked=False)

            return call

        yield {"component": contender("reused"), "fresh": contender("fresh")}


async def measure_all(seconds: float, rounds: int) -> Results:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        async with (
            Server(store_dir=folder / "nats") as nats_server,
            components(nats_server.url, folder) as ours,
            peer(nats_server.url) as port,
            contenders(nats_server.url, port) as others,
        ):
            return await compare(others | ours, seconds, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = asyncio.run(measure_all(arguments.seconds, arguments.rounds))
    show(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
