"""What `list<u8>` costs in an echo: through the stock wrapper, as a list laid out by slices, and bridged.

    python bench/bytes.py [--rounds N] [--json FILE]

Prints microseconds a call, the best of several rounds (the machine is seldom alone). Every value of a byte
occurs, so half of them take two bytes of UTF-8 on the bridge's way. As a list, 4 MiB are more than wasmtime
copies for one call: no figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from engine_components import echo
from rich.console import Console
from rich.table import Table
from wasmtime import Config, Store, wat2wasm
from wasmtime import Engine as WasmEngine
from wasmtime import component as stock

from lath.wit.types import Primitive
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

SIZES: Final = {
    "1 B": 1, "1 kB": 1_000, "10 kB": 10_000, "100 kB": 100_000, "1 MiB": 1 << 20, "4 MiB": 4 << 20,
}  # fmt: skip
SOURCE: Final = echo(Primitive("u8"))
CONTEXT: Final = CallContext()
ROUND_SECONDS: Final = 0.05
"""A round makes as many calls as fit, at least one."""
SLOW_US: Final = 1e6
"""What takes longer is measured once."""
LIST_BYTES_MAX: Final = 1 << 20
MEMORY_BYTES_MAX: Final = 512 << 20

Way = Callable[[bytes], Awaitable[bytes]]


async def no_imports(import_: Import, context: CallContext, params: list[Any]) -> Any:
    raise AssertionError("the echo imports nothing")


def stock_wrapper() -> Way:
    """The echo as wasmtime's own package calls it, blocking and without limits."""
    engine = WasmEngine(Config())
    store = Store(engine)
    component = stock.Component(engine, bytes(wat2wasm(SOURCE)))
    instance = stock.Linker(engine).instantiate(store, component)
    func = instance.get_func(store, "echo")
    assert func is not None

    async def call(data: bytes) -> bytes:
        result: bytes = func(store, data)
        func.post_return(store)
        return result

    return call


def pooled(pool: InstancePool) -> Way:
    async def call(data: bytes) -> bytes:
        result: bytes = await pool.call("", "echo", [data], context=CONTEXT, timeout_ms=120_000)
        return result

    return call


async def timed(way: Way, data: bytes, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        await way(data)
    return (time.perf_counter() - started) / calls * 1e6


async def measure(ways: dict[str, Way], size: int, rounds: int) -> dict[str, float]:
    """Microseconds by way: the ways take turns, so that each gets its share of quiet moments."""
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    best = {name: await timed(way, data, 1) for name, way in ways.items()}
    for _ in range(rounds):
        for name, way in ways.items():
            if best[name] > SLOW_US:
                continue
            calls = max(1, int(ROUND_SECONDS * 1e6 / best[name]))
            best[name] = min(best[name], await timed(way, data, calls))
    return best


async def compile_ms(rounds: int) -> dict[str, float]:
    """What the bridge adds to compiling a small component, and to a fresh instance."""
    figures = {}
    for name, bridge in (("list", False), ("bridge", True)):
        async with Engine(bridge=bridge) as engine:
            best = math.inf
            for _ in range(rounds):
                started = time.perf_counter()
                compiled = await engine.compile(SOURCE)
                best = min(best, time.perf_counter() - started)
            figures[f"compile ms, {name}"] = best * 1e3
            limits = Limits(warm_instances=0)
            async with InstancePool(engine, compiled, limits, no_imports, name="fresh") as pool:
                way = pooled(pool)
                fresh = min([await timed(way, b"x", 100) for _ in range(rounds)])
            figures[f"fresh instance us, {name}"] = fresh
    return figures


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measures list<u8> through an echo, three ways.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    limits = Limits(reuse=True, memory_bytes_max=MEMORY_BYTES_MAX)
    figures: dict[str, dict[str, float]] = {}
    async with Engine(bridge=False) as plain, Engine() as bridging:
        pools = [
            InstancePool(engine, await engine.compile(SOURCE), limits, no_imports, name="echo")
            for engine in (plain, bridging)
        ]
        ways = {"stock": stock_wrapper(), "list": pooled(pools[0]), "bridge": pooled(pools[1])}
        for label, size in SIZES.items():
            fit = ways if size <= LIST_BYTES_MAX else {"bridge": ways["bridge"]}
            figures[label] = await measure(fit, size, arguments.rounds)
        for pool in pools:
            await pool.close()
    extra = await compile_ms(arguments.rounds)
    show(figures, extra)
    if arguments.json:
        arguments.json.write_text(json.dumps({"echo_us": figures, **extra}, indent=2) + "\n")


def show(figures: dict[str, dict[str, float]], extra: dict[str, float]) -> None:
    table = Table("payload", "stock us", "list us", "bridge us", "bridge MB/s", "x stock", "x list")
    for label, best in figures.items():
        bridge = best["bridge"]
        others = [best.get("stock", math.nan), best.get("list", math.nan)]
        columns = [*others, bridge, SIZES[label] / bridge, *(other / bridge for other in others)]
        table.add_row(label, *("-" if math.isnan(value) else f"{value:,.1f}" for value in columns))
    Console().print(table)
    for name, value in extra.items():
        Console().print(f"{name}: {value:,.1f}")


if __name__ == "__main__":
    asyncio.run(main())
