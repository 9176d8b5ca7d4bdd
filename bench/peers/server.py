"""The other process of the peers: `python -m bench.peers.server URL` answers NATS, lath's rpc and gRPC."""

from __future__ import annotations

import asyncio
import sys

import grpc.aio
import nats
from nats.aio.msg import Msg

from bench.child import until_told_to_end
from bench.lattice import LATTICE
from bench.peers import REPLY
from lath.bus import Bus
from lath.rpc import CallServer, IncomingCall

RAW_SUBJECT = "raw.echo"
TARGET = "peer"
INSTANCE = "one"
GRPC_SERVICE, GRPC_METHOD = "lath.Bench", "Echo"


async def _raw(msg: Msg) -> None:
    await msg.respond(msg.data[-len(REPLY) :])


async def _lath(call: IncomingCall) -> bytes:
    return call.payload[-len(REPLY) :]


async def _grpc(request: bytes, context: object) -> bytes:
    return request[-len(REPLY) :]


async def serve(url: str) -> None:
    nc = await nats.connect(url)
    await nc.subscribe(RAW_SUBJECT, cb=_raw)
    bus = await Bus.connect(url, lattice=LATTICE, name="bench-peer")
    server = CallServer(bus, TARGET, INSTANCE, _lath)
    await server.start()
    grpc_server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(_grpc)
    grpc_server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(GRPC_SERVICE, {GRPC_METHOD: handler}),)
    )
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    await nc.flush()
    await bus.flush()
    try:
        await until_told_to_end({"port": port})
    finally:
        await grpc_server.stop(None)
        await server.close()
        await bus.close()
        await nc.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
