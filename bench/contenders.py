"""Ways of calling an echo in another process, measured side by side: what bench/calls.py compares with.

`raw` is nats-py's own request and `msg.respond`; `raw+header` the same with the `Lath` header that every
call carries; `lath` is `Caller` to `CallServer`, with no component behind; `grpc.aio` a plain handler. The
server is another process, rounds are interleaved, and each figure is the median of its rounds.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

import grpc.aio
import msgpack
import nats

from lath import telemetry
from lath.bus import Bus
from lath.model.presence import Presence
from lath.names import InterfaceName
from lath.rpc import Caller, CallHeader, CallServer, IncomingCall
from lath.subjects import HEADER_CALL, call_tail

LATTICE = "bench"
TARGET = "echo"
INSTANCE = "one"
PAYLOAD: bytes = msgpack.packb("x" * 64)
"""A string of 64 characters as it travels; a component's parameters are an array around it."""
IN_FLIGHT = (64, 1)
WARM_UP_SECONDS = 0.3
Results: TypeAlias = dict[str, dict[str, dict[str, float]]]
TAIL = call_tail("bench", "default", InterfaceName("lath", "bench", "echo"), "echo")
GRPC_METHOD = "/lath.Bench/Echo"
TRACE = telemetry.TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
Call = Callable[[], Awaitable[bytes]]


# --- the other process ------------------------------------------------------------------------------------


async def serve(url: str) -> None:
    """Everything that is called, until stdin ends."""
    nc = await nats.connect(url)

    async def respond(msg: object) -> None:
        await msg.respond(msg.data)  # type: ignore[attr-defined]

    await nc.subscribe("raw.echo", cb=respond)
    bus = await Bus.connect(url, lattice=LATTICE, name="bench-server")

    async def handle(call: IncomingCall) -> bytes:
        return call.payload

    server = CallServer(bus, TARGET, INSTANCE, handle)
    await server.start()

    async def grpc_echo(request: bytes, context: object) -> bytes:
        return request

    grpc_server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(grpc_echo)
    grpc_server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("lath.Bench", {"Echo": handler}),)
    )
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    await nc.flush()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await grpc_server.stop(None)
    await server.close()
    await bus.close()
    await nc.close()


# --- this process -----------------------------------------------------------------------------------------


class OneInstance:
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


async def measure(call: Call, in_flight: int, seconds: float) -> tuple[float, list[float]]:
    """Calls per second, and each call's duration in microseconds."""
    durations: list[float] = []
    end = time.perf_counter() + seconds

    async def worker() -> None:
        while (began := time.perf_counter()) < end:
            if await call() != PAYLOAD:
                raise RuntimeError("the echo is not what was sent")
            durations.append((time.perf_counter() - began) * 1e6)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return len(durations) / (time.perf_counter() - began), durations


@asynccontextmanager
async def contenders(url: str, port: str) -> AsyncIterator[dict[str, Call]]:
    """The calls to the peer process, by name."""
    async with AsyncExitStack() as stack:
        nc = await nats.connect(url)
        stack.push_async_callback(nc.close)
        bus = await stack.enter_async_context(await Bus.connect(url, lattice=LATTICE, name="bench"))
        caller = await stack.enter_async_context(Caller(bus, OneInstance(), "bench"))  # type: ignore[arg-type]
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        grpc_call = channel.unary_unary(GRPC_METHOD)
        header = {HEADER_CALL: CallHeader(10_000, "0123456789abcdef").encode()}

        async def raw() -> bytes:
            return (await nc.request("raw.echo", PAYLOAD, timeout=10)).data

        async def raw_header() -> bytes:
            return (await nc.request("raw.echo", PAYLOAD, timeout=10, headers=header)).data

        async def lath() -> bytes:
            return await caller.call(TARGET, TAIL, PAYLOAD, linked=True)

        async def lath_traced() -> bytes:
            with telemetry.use(TRACE):
                return await caller.call(TARGET, TAIL, PAYLOAD, linked=True)

        async def grpc_aio() -> bytes:
            return await grpc_call(PAYLOAD, timeout=10)  # type: ignore[no-any-return]

        yield {
            "raw": raw,
            "raw+header": raw_header,
            "lath": lath,
            "lath+trace": lath_traced,
            "grpc.aio": grpc_aio,
        }


async def compare(calls: dict[str, Call], seconds: float, rounds: int) -> Results:
    """The medians over `rounds` interleaved rounds, by how many calls are in flight and by contender."""
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    for call in calls.values():
        await measure(call, IN_FLIGHT[0], WARM_UP_SECONDS)
    for _ in range(rounds):
        for in_flight in IN_FLIGHT:
            for name, call in calls.items():
                rate, durations = await measure(call, in_flight, seconds)
                cuts = statistics.quantiles(durations, n=100)
                found.setdefault((name, in_flight), []).append((rate, cuts[49], cuts[98]))
    return {
        f"in_flight_{in_flight}": {
            name: {
                key: statistics.median(sample[i] for sample in found[name, in_flight])
                for i, key in enumerate(("calls_per_s", "p50_us", "p99_us"))
            }
            for name in calls
        }
        for in_flight in IN_FLIGHT
    }


@asynccontextmanager
async def peer(url: str) -> AsyncIterator[str]:
    """The other process; yields the port of its gRPC server."""
    child = await asyncio.create_subprocess_exec(sys.executable, __file__, url, stdin=PIPE, stdout=PIPE)
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("the other process has no pipes")
    try:
        yield (await child.stdout.readline()).decode().strip()
    finally:
        child.stdin.close()
        await child.wait()


def show(results: Results) -> None:
    """Prints a table per number of calls in flight."""
    for title, figures in results.items():
        print(f"\n{title.replace('_', ' ')}, {len(PAYLOAD)} bytes")
        head = f"{'':16}{'calls/s':>10}{'p50 µs':>10}{'p99 µs':>10}{'of raw+header':>15}{'of grpc':>10}"
        print(head)
        for name, f in figures.items():
            of_raw, of_grpc = (
                f["calls_per_s"] / figures[base]["calls_per_s"] for base in ("raw+header", "grpc.aio")
            )
            print(
                f"{name:16}{f['calls_per_s']:>10.0f}{f['p50_us']:>10.0f}{f['p99_us']:>10.0f}"
                f"{of_raw:>15.2f}{of_grpc:>10.2f}"
            )


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
