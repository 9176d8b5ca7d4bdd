"""How long a small call takes beside guests that compute: p99 quiet, beside one, beside one per core, …

    python bench/noisy.py                 with the threads' priority lowered, as hosts do
    python bench/noisy.py --nice 0        without

A process of its own asks over a socket, at a steady rate, and measures the whole round trip: so what the
host's event loop misses counts too. Each stage is measured several times, interleaved; the median of the
rounds is shown, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from rich.console import Console
from rich.table import Table

RATE_PER_S = 500
SECONDS = 2.0
ROUNDS = 5


def ask(fd: int) -> None:
    """The client: sends a byte when one is due, and measures until the answer."""
    with socket.socket(fileno=fd) as line:
        took = []
        due = time.perf_counter()
        for _ in range(int(RATE_PER_S * SECONDS)):
            due += 1 / RATE_PER_S
            time.sleep(max(0.0, due - time.perf_counter()))
            sent = time.perf_counter()
            line.sendall(b"x")
            line.recv(1)
            took.append((time.perf_counter() - sent) * 1e6)
        took.sort()
        print(json.dumps([took[len(took) // 2], took[int(len(took) * 0.99)]]))


async def measure(pool: Any, context: Any) -> tuple[float, float]:
    """p50 and p99 of a round trip, in microseconds."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    command = [sys.executable, __file__, "--ask", str(theirs.fileno())]
    with ours:
        client = await asyncio.create_subprocess_exec(
            *command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE
        )
        theirs.close()
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(ours, 1):
            await pool.call("lath:test/mischief@1.2.0", "hello", ["x"], context=context)
            await loop.sock_sendall(ours, b"x")
        out, _ = await client.communicate()
    p50, p99 = json.loads(out)
    return p50, p99


async def main(nice: int, reuse: bool, output: Path | None) -> None:
    from engine_guests import MISCHIEF, no_imports

    from lath_host.engine import Engine
    from lath_host.engine.limits import Limits
    from lath_host.engine.linkage import CallContext
    from lath_host.engine.pool import InstancePool

    cores = len(os.sched_getaffinity(0))
    stages = sorted({0, 1, cores - 1, cores, 4 * cores})
    found: dict[int, list[tuple[float, float]]] = {stage: [] for stage in stages}
    context = CallContext()
    async with Engine(nice=nice) as engine:
        compiled = await engine.compile(MISCHIEF)
        small = InstancePool(engine, compiled, Limits(reuse=reuse), no_imports, name="small")
        await small.start()
        for _ in range(ROUNDS):
            for stage in stages:
                limits = Limits(timeout_ms=600_000)
                noisy = InstancePool(engine, compiled, limits, no_imports, name="noisy")
                spin = [
                    asyncio.ensure_future(noisy.call("lath:test/mischief@1.2.0", "spin", [], context=context))
                    for _ in range(stage)
                ]
                await asyncio.sleep(0.1)
                found[stage].append(await measure(small, context))
                await noisy.close()
                await asyncio.gather(*spin, return_exceptions=True)
        await small.close()
    if output is not None:
        rows = {str(stage): [{"p50_us": p50, "p99_us": p99} for p50, p99 in found[stage]] for stage in stages}
        output.write_text(  # noqa: ASYNC240 - nothing else runs any more
            json.dumps({"cores": cores, "nice": nice, "busy guests": rows}, indent=2)
        )
    table = Table(
        f"busy guests ({cores} cores, nice {nice})", "p50 us", "p99 us", "lowest, highest", "times quiet"
    )
    quiet = statistics.median(p99 for _, p99 in found[0])
    for stage in stages:
        p50 = statistics.median(each[0] for each in found[stage])
        all_p99 = [each[1] for each in found[stage]]
        p99 = statistics.median(all_p99)
        spread = f"{min(all_p99):,.0f}, {max(all_p99):,.0f}"
        table.add_row(str(stage), f"{p50:,.0f}", f"{p99:,.0f}", spread, f"{p99 / quiet:.1f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measures a small call beside busy guests.")
    parser.add_argument("--ask", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--nice", type=int, default=5, help="how much less the guests' priority is")
    parser.add_argument("--reuse", action="store_true", help="reuse instances")
    parser.add_argument("--json", type=Path, help="write the figures of all rounds here")
    arguments = parser.parse_args()
    if arguments.ask is not None:
        ask(arguments.ask)
    else:
        asyncio.run(main(arguments.nice, arguments.reuse, arguments.json))
