"""The work whose instructions are counted, under callgrind: `python -m bench.counted`.

Each workload runs n times, then 2n times; the difference over n is one run's, with neither set-up nor loop
ends in it. No network, no other threads at work, no garbage collection while counting.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from bench.callgrind import Counter
from bench.guests import TEXT_ECHO, TEXT_RELAY
from bench.http_in_process import HELLO, open_hello
from bench.in_process import open_pool
from bench.peers import TEXT
from lath.bus.entry import Entry
from lath.codec import FuncCodec
from lath.http import HttpRequest
from lath.links import LinkView
from lath.mirror import Mirror
from lath.model import LinkSpec, Revision, StoredLink
from lath.rpc import CallHeader
from lath.wit.types import Field, Func, ListOf, Primitive
from lath_host.engine import Engine
from lath_host.engine.http.exchange import HttpHandler, incoming_handler
from lath_host.engine.linkage import CallContext

_TICK_MS: Final = 1_000
"""The engine's clock is slow, so that how slow valgrind is does not show: a guest has two ticks."""
_SLOTS: Final = 2
"""Valgrind has little address space to give, and the workloads have an engine each: one that found too little
would make its instances without slots, which counts otherwise."""
_WARM_UP: Final = 30
_LINKS: Final = 1_000
Work = Callable[[int], Awaitable[None]]
"""Does something so many times."""
Workload = Callable[[AsyncExitStack], Awaitable[Work]]


async def _engine(stack: AsyncExitStack) -> Engine:
    return await stack.enter_async_context(Engine(tick_ms=_TICK_MS, instances_max=_SLOTS))


async def _warm_call(stack: AsyncExitStack) -> Work:
    engine = await _engine(stack)
    pool = await open_pool(stack, engine, await engine.compile(TEXT_ECHO.encode()), reuse=True)

    async def work(times: int) -> None:
        for _ in range(times):
            await pool.echo(TEXT)

    return work


async def _call_with_import(stack: AsyncExitStack) -> Work:
    engine = await _engine(stack)
    pool = await open_pool(stack, engine, await engine.compile(TEXT_RELAY.encode()), reuse=True)

    async def work(times: int) -> None:
        for _ in range(times):
            await pool.relay(TEXT, 1)

    return work


async def _fresh_call(stack: AsyncExitStack) -> Work:
    engine = await _engine(stack)
    pool = await open_pool(stack, engine, await engine.compile(TEXT_ECHO.encode()), warm_instances=0)

    async def work(times: int) -> None:
        for _ in range(times):
            await pool.echo(TEXT)
            await asyncio.sleep(0)  # the instance that was used goes in the next turn of the loop

    return work


def _hello(**limits: Any) -> Workload:
    """A hello over HTTP, from the bytes of its request to those of its answer."""

    async def workload(stack: AsyncExitStack) -> Work:
        wire = await open_hello(stack, await _engine(stack), **limits)

        async def work(times: int) -> None:
            for _ in range(times):
                await wire.ask()
                await asyncio.sleep(0)  # the turn in which an instance that was used goes

        return work

    return workload


def _hello_engine(**limits: Any) -> Workload:
    """The engine's part of it: from the request to the response."""

    async def workload(stack: AsyncExitStack) -> Work:
        engine = await _engine(stack)
        compiled = await engine.compile(HELLO.read_bytes())
        pool = await open_pool(stack, engine, compiled, **limits)
        interface = incoming_handler(compiled.world.exports)
        assert interface is not None
        context = CallContext()

        async def work(times: int) -> None:
            for _ in range(times):
                request = HttpRequest(authority="127.0.0.1:8080", peer="127.0.0.1:4711")
                await HttpHandler(pool.instances, interface).serve(request, context=context)
                await asyncio.sleep(0)

        return work

    return workload


_SIGNATURE: Final = Func(
    (Field("key", Primitive("string")), Field("values", ListOf(Primitive("u32")))), ListOf(Primitive("u32"))
)
_ARGUMENTS: Final = (TEXT, list(range(16)))


async def _pack(stack: AsyncExitStack) -> Work:
    codec = FuncCodec(_SIGNATURE)

    async def work(times: int) -> None:
        for _ in range(times):
            codec.encode_params(_ARGUMENTS)

    return work


async def _unpack(stack: AsyncExitStack) -> Work:
    codec = FuncCodec(_SIGNATURE)
    data = codec.encode_params(_ARGUMENTS)

    async def work(times: int) -> None:
        for _ in range(times):
            codec.decode_params(data)

    return work


async def _header(stack: AsyncExitStack) -> Work:
    header = CallHeader(10_000, "0123456789abcdef", Revision(incarnation=1, sequence=7), "0.1.0")

    async def work(times: int) -> None:
        for _ in range(times):
            CallHeader.parse(header.encode())

    return work


def _entry(index: int, sequence: int) -> Entry:
    spec = LinkSpec(
        source_id=f"app-{index}", target="kv", wit_namespace="wasi", wit_package="keyvalue",
        interfaces=("store", "atomics"),
    )  # fmt: skip
    stored = StoredLink.model_validate({**spec.model_dump(), "incarnation": 1})
    return Entry(stored.key, stored.model_dump_json().encode(), sequence, created_ns=0)


def _mirror() -> tuple[Mirror, LinkView]:
    """A mirror of links that was never started, with entries: what arrives is given to it by hand."""
    bus: Any = None
    mirror = Mirror(bus, "links")
    view = LinkView(mirror)
    for index in range(_LINKS):
        mirror._apply(_entry(index, index + 1))
    return mirror, view


async def _link_lookup(stack: AsyncExitStack) -> Work:
    _, view = _mirror()

    async def work(times: int) -> None:
        for index in range(times):
            view.find(f"app-{index % _LINKS}", "wasi", "keyvalue", "default", "store")

    return work


async def _mirror_apply(stack: AsyncExitStack) -> Work:
    mirror, _ = _mirror()
    entries = [_entry(index, 2 * _LINKS + index) for index in range(_LINKS)]

    async def work(times: int) -> None:
        for index in range(times):
            mirror._apply(entries[index % _LINKS])

    return work


WORKLOADS: Final[dict[str, tuple[str, int, Workload]]] = {
    "warm_call": ("a warm call into component text, in process", 200, _warm_call),
    "call_with_import": ("the same with one import, answered at once", 200, _call_with_import),
    "fresh_call": ("a call in a fresh instance", 50, _fresh_call),
    "hello_http": ("a hello over HTTP through the built-in server, reused", 50, _hello(reuse=True)),
    "hello_http_fresh": ("the same in a fresh instance", 30, _hello(warm_instances=0)),
    "hello_engine": ("of it the engine alone, reused", 50, _hello_engine(reuse=True)),
    "hello_engine_fresh": ("the engine alone in a fresh instance", 30, _hello_engine(warm_instances=0)),
    "codec_pack": ("packing parameters: a string and 16 numbers", 1_000, _pack),
    "codec_unpack": ("unpacking them, checked", 1_000, _unpack),
    "rpc_header": ("writing and reading the call's header", 2_000, _header),
    "link_lookup": ("finding the link of an import among 1,000", 10_000, _link_lookup),
    "mirror_apply": ("taking in a write of a link", 200, _mirror_apply),
}
"""By name: what it is, n, and how it is made."""


@asynccontextmanager
async def _quiet() -> AsyncIterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def main() -> None:
    """Counts every workload; one that this version of lath cannot run is named on stderr, and left out."""
    counter = Counter()
    for name, (_, times, make) in WORKLOADS.items():
        try:
            async with AsyncExitStack() as stack:
                work = await make(stack)
                counter.start()
                await work(_WARM_UP)
                async with _quiet():
                    for count in (times, 2 * times):
                        counter.zero()
                        await work(count)
                        counter.dump(f"{name}/{count}")
        except (AttributeError, ImportError, TypeError, ValueError) as error:
            print(f"{name}: {error!r}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
