"""From a link put to the link active at its provider: what `put_and_wait` takes.

    python bench/link_put.py [--puts 500] [--instances 3] [--json FILE]

The provider is a real one (the SDK, without a backend) in several instances, each in a process of its own.
Puts come one after another, each of another link; each ends when every instance says that it has applied it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path

from ping import LATTICE, Providers, spec

from lath.bus import Bus, ensure_buckets
from lath.links import LinkStore
from lath.presence import PresenceView
from lath.server import Server
from lath.verbs import LinkOps


async def bench(puts: int, instances: int) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server())
        bus = await stack.enter_async_context(await Bus.connect(server.url, lattice=LATTICE, name="writer"))
        await ensure_buckets(bus)
        view = await stack.enter_async_context(PresenceView(bus))
        await view.wait_synced()
        store = LinkStore(bus)
        ops = LinkOps(bus, view, store)
        providers = Providers(server.url)
        stack.push_async_callback(providers.stop)
        await asyncio.gather(*(providers.start(["kv"]) for _ in range(instances)))
        await view.wait_until(lambda: len(view.instances("kv")) == instances)
        await ops.put_and_wait(spec("app", "kv", "warm-up"))

        bare, waited = [], []
        for index in range(puts):
            before = time.perf_counter()
            link = await store.put(spec("app", "kv", f"n{index}"))
            put = time.perf_counter()
            report = await ops.await_applied(link)
            after = time.perf_counter()
            assert report.verdict == "live"
            bare.append((put - before) * 1000)
            waited.append((after - before) * 1000)
        await ops.close()
    waited.sort()
    return {
        "put_p50_ms": statistics.median(bare),
        "active_p50_ms": statistics.median(waited),
        "active_p99_ms": waited[min(len(waited) - 1, int(len(waited) * 0.99))],
        "active_max_ms": waited[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--puts", type=int, default=500)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results = asyncio.run(bench(args.puts, args.instances))
    for name, value in results.items():
        print(f"{name:16} {value:8.2f}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
