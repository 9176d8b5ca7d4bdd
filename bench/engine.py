"""What the engine costs: instantiate, call warm, call fresh, call with an import.

    python bench/engine.py              text component, and the Python guest
    python bench/engine.py --no-python  without the Python guest, which takes half a minute to build once

Prints microseconds, the best of several rounds (the machine is seldom alone).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from engine_components import echo
from engine_guests import MISCHIEF
from python_guest import build_python_guest, cache_directory
from rich.console import Console
from rich.table import Table

from lath.wit.types import Primitive
from lath_host.engine import Engine
from lath_host.engine.guest import Guest
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

ROUNDS = 5
CONTEXT = CallContext()


async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
    return "value" if import_.function == "ask" else b"value"


async def answer_later(import_: Import, context: CallContext, params: list[Any]) -> Any:
    await asyncio.sleep(0)
    return await answer(import_, context, params)


async def best_us(work: Callable[[], Awaitable[Any]], count: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(count):
            await work()
        best = min(best, (time.perf_counter() - started) / count)
    return best * 1e6


class Bench:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.rows: list[tuple[str, str, float]] = []

    async def component(
        self, label: str, source: bytes, interface: str, plain: str, asking: str, n: int
    ) -> None:
        compiled = await self.engine.compile(source)

        def pool(handler: Any, **limits: Any) -> InstancePool:
            return InstancePool(self.engine, compiled, Limits(**limits), handler, name=label)

        def calling(to: InstancePool, function: str, text: str) -> Callable[[], Awaitable[Any]]:
            return lambda: to.call(interface, function, [text], context=CONTEXT)

        async with pool(answer, reuse=True) as warm:
            self.add(label, "call, warm", await best_us(calling(warm, plain, "bob"), 20 * n))
            self.add(
                label, "call, warm, 10 kB string", await best_us(calling(warm, plain, "x" * 10_000), 5 * n)
            )
            self.add(label, "call, warm, one import", await best_us(calling(warm, asking, "bob"), 10 * n))
            settings = await warm._ready()

            async def instantiate() -> None:
                guest = Guest(settings)
                await guest.instantiate()
                guest.discard()

            self.add(label, "instantiate and discard", await best_us(instantiate, n))
        async with pool(answer_later, reuse=True) as warm:
            self.add(
                label, "… that waits a turn of the loop", await best_us(calling(warm, asking, "bob"), 10 * n)
            )
        async with pool(answer, warm_instances=0) as fresh:
            self.add(label, "call, fresh instance", await best_us(calling(fresh, plain, "bob"), n))

    async def data(self) -> None:
        for kind, value, label in (
            ("u8", bytes(1_000_000), "list<u8>, 1 MB both ways"),
            ("u32", list(range(10_000)), "list<u32>, 10,000 both ways"),
        ):
            compiled = await self.engine.compile(echo(Primitive(kind)))  # type: ignore[arg-type]
            async with InstancePool(self.engine, compiled, Limits(reuse=True), answer, name="echo") as pool:

                async def call(pool: InstancePool = pool, value: Any = value) -> Any:
                    return await pool.call("", "echo", [value], context=CONTEXT)

                self.add("text", label, await best_us(call, 3))

    def add(self, component: str, what: str, us: float) -> None:
        self.rows.append((component, what, us))

    def show(self) -> None:
        table = Table("component", "what", "us")
        for component, what, us in self.rows:
            table.add_row(component, what, f"{us:,.1f}")
        Console().print(table)


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the engine.")
    parser.add_argument("--no-python", action="store_true", help="leave the Python guest out")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    async with Engine(cache_dir=cache_directory() / "compiled") as engine:
        bench = Bench(engine)
        await bench.component("text", MISCHIEF, "lath:test/mischief@1.2.0", "hello", "ask", 500)
        await bench.data()
        if not arguments.no_python:
            source = await asyncio.to_thread(build_python_guest)
            await bench.component("Python", source, "demo:app/greet@0.1.0", "hello", "via", 100)
        bench.show()
    if arguments.json:
        rows = [{"component": each, "what": what, "us": us} for each, what, us in bench.rows]
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
