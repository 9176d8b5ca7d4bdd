"""The peers in Python: bare NATS, the same with lath's header, lath's rpc without a component, and gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc.aio
import nats

from bench.child import child
from bench.lattice import LATTICE
from bench.peers import PARAMS, Contender, contender
from bench.peers.server import GRPC_METHOD, GRPC_SERVICE, INSTANCE, RAW_SUBJECT, TARGET
from lath.bus import Bus
from lath.model import Presence
from lath.names import InterfaceName
from lath.rpc import Caller, CallHeader
from lath.subjects import HEADER_CALL, call_tail

NAMES = ("raw", "raw_header", "lath_rpc", "grpc_aio")


class _OneInstance:
    """Presence of the one instance there is, without a bucket: routing is not what is measured."""

    def __init__(self) -> None:
        self._instances = (
            Presence(kind="component", target=TARGET, instance_id=INSTANCE, started_ms=0, version="0"),
        )

    def instances(self, target: str) -> tuple[Presence, ...]:
        return self._instances

    def on_change(self, callback: object) -> Callable[[], None]:
        return lambda: None

    def suspect(self, instance_id: str) -> None:
        raise RuntimeError(f"instance {instance_id} answers no more")


@asynccontextmanager
async def python_peers(url: str) -> AsyncIterator[list[Contender]]:
    """All of them, as callers of one process."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(child("bench.peers.server", url))
        nc = await nats.connect(url)
        stack.push_async_callback(nc.close)
        bus = await stack.enter_async_context(await Bus.connect(url, lattice=LATTICE, name="bench"))
        presence: object = _OneInstance()
        caller = await stack.enter_async_context(Caller(bus, presence, "bench"))  # type: ignore[arg-type]
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{server.ready['port']}")
        )
        grpc_call = channel.unary_unary(f"/{GRPC_SERVICE}/{GRPC_METHOD}")
        header = {HEADER_CALL: CallHeader(10_000, "0123456789abcdef").encode()}
        tail = call_tail("bench", "default", InterfaceName("bench", "echo", "echo"), "echo")

        async def raw() -> bytes:
            return (await nc.request(RAW_SUBJECT, PARAMS, timeout=10)).data

        async def raw_header() -> bytes:
            return (await nc.request(RAW_SUBJECT, PARAMS, timeout=10, headers=header)).data

        async def lath_rpc() -> bytes:
            return await caller.call(TARGET, tail, PARAMS, linked=True)

        async def grpc_aio() -> bytes:
            reply: bytes = await grpc_call(PARAMS, timeout=10)
            return reply

        sends = (raw, raw_header, lath_rpc, grpc_aio)
        yield [contender(name, send) for name, send in zip(NAMES, sends, strict=True)]
