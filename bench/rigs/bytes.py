"""What `list<u8>` costs in an echo: through wasmtime's own wrapper, laid out by slices, and bridged.

Every value of a byte occurs, so half of them take two bytes of UTF-8 on the bridge's way. As a list, 4 MiB
are more than wasmtime copies for one call: no figure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from wasmtime import Config, Store, wat2wasm
from wasmtime import Engine as WasmEngine
from wasmtime import component as stock

from bench.guests import ECHO, TEXT_ECHO, VERSION
from bench.in_process import open_pool
from bench.load import per_call_us
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from lath_host.engine import Engine

SIZES: Final = {
    "1_b": 1,
    "1_kb": 1_000,
    "10_kb": 10_000,
    "100_kb": 100_000,
    "1_mib": 1 << 20,
    "4_mib": 4 << 20,
}
_LIST_BYTES_MAX: Final = 1 << 20
_WAYS: Final = {"stock": "wasmtime's wrapper", "list": "laid out by slices", "bridge": "through the bridge"}
_MEMORY_BYTES_MAX: Final = 512 << 20
_SECONDS: Final = 0.05
Way = Callable[[bytes], Awaitable[Any]]


def _fits(way: str, size: int) -> bool:
    return way == "bridge" or size <= _LIST_BYTES_MAX


_MEASUREMENTS: Final = tuple(
    Measurement(
        f"bytes.{label}.{way}_us", "us", "lower", f"list<u8> of {size:,} bytes there and back, {what}",
        "" if way == "bridge" else f"bytes.{label}.bridge_us",
    )
    for label, size in SIZES.items()
    for way, what in _WAYS.items()
    if _fits(way, size)
)  # fmt: skip


def _stock_wrapper() -> Way:
    """The echo as wasmtime's own package calls it, blocking and without limits."""
    engine = WasmEngine(Config())
    store = Store(engine)
    component = stock.Component(engine, bytes(wat2wasm(TEXT_ECHO)))
    instance = stock.Linker(engine).instantiate(store, component)
    interface = instance.get_export_index(store, f"{ECHO}@{VERSION}")
    index = instance.get_export_index(store, "bytes", interface)
    func = instance.get_func(store, index) if index is not None else None
    assert func is not None, "the echo exports bytes"

    async def call(data: bytes) -> Any:
        result = func(store, data)
        func.post_return(store)
        return result

    return call


def _probe(name: str, way: Way, data: bytes) -> Probe:
    async def probe() -> Values:
        return {name: await per_call_us(lambda: way(data), _SECONDS)}

    return probe


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:
        ways = {"stock": _stock_wrapper()}
        for name, bridge in (("list", False), ("bridge", True)):
            engine = await stack.enter_async_context(Engine(bridge=bridge))
            compiled = await engine.compile(TEXT_ECHO.encode())
            pool = await open_pool(
                stack, engine, compiled, reuse=True, memory_bytes_max=_MEMORY_BYTES_MAX, timeout_ms=120_000
            )
            ways[name] = partial(pool.echo, function="bytes")
        every_byte = bytes(range(256)) * (max(SIZES.values()) // 256 + 1)
        yield Opened(
            [
                _probe(f"bytes.{label}.{name}_us", way, every_byte[:size])
                for label, size in SIZES.items()
                for name, way in ways.items()
                if _fits(name, size)
            ]
        )


BYTES = Rig("bytes", "list<u8> in an echo, three ways", _MEASUREMENTS, _open)
