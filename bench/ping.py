"""What a link ping takes: 50 instances of 20 links each, and one instance of 10,000.

    python bench/ping.py [--instances 50] [--links 20] [--many 10000] [--processes 4] [--rounds 20] [--json F]

Providers are real ones (the SDK, without a backend), spread over processes, each on a connection of its own;
the asker is a process of its own on the same machine. Times are what `LinkOps.ping` takes, KV read included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack
from pathlib import Path

from lath import subjects
from lath.bus import Bus, ensure_buckets
from lath.links import LinkStore
from lath.model import LinkSelector, LinkSpec, StoredLink
from lath.presence import PresenceView
from lath.provider import Link, Provider, ProviderInstance
from lath.server import Server
from lath.verbs import LinkOps

LATTICE = "bench"
READY_TIMEOUT_S = 120.0


class Nothing(Provider):
    """Holds nothing for its links."""

    async def open_link(self, link: Link) -> str:
        return link.name


async def serve(url: str, ids: list[str]) -> None:
    """Providers in a process of their own, until stdin ends."""
    async with AsyncExitStack() as stack:
        for id in ids:
            bus = await stack.enter_async_context(await Bus.connect(url, lattice=LATTICE, name=id))
            instance = ProviderInstance(Nothing(), bus, provider_id=id)
            await stack.enter_async_context(instance)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


class Providers:
    """The processes with providers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(self, ids: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--serve", self._url, *ids, stdin=PIPE, stdout=PIPE
        )
        self._processes.append(process)
        assert process.stdout is not None
        await process.stdout.readline()

    async def stop(self) -> None:
        await asyncio.gather(*(process.communicate(b"") for process in self._processes))
        self._processes.clear()


async def put_many(bus: Bus, store: LinkStore, target: str, count: int) -> None:
    """Links of one provider, written without a round trip each."""
    first = await store.put(spec(f"app-{target}", target, "n0"))
    prefix = subjects.key_prefix("links", LATTICE)
    for index in range(1, count):
        value = StoredLink.model_validate({**first.model_dump(), "name": f"n{index}"})
        await bus.publish(prefix + value.key, value.model_dump_json().encode())
    await bus.flush()


def spec(source: str, target: str, name: str = "default") -> LinkSpec:
    return LinkSpec(
        source_id=source, target=target, name=name, wit_namespace="wasi", wit_package="keyvalue",
        interfaces=("store",),
    )  # fmt: skip


async def until_live(ops: LinkOps, selector: LinkSelector, links: int, instances: int) -> None:
    async with asyncio.timeout(READY_TIMEOUT_S):
        while True:
            report = await ops.ping(selector)
            if report.healthy and len(report.links) == links and len(report.answered) >= instances:
                return
            await asyncio.sleep(0.2)


async def measure(ops: LinkOps, selector: LinkSelector, rounds: int) -> dict[str, float]:
    taken = []
    for _ in range(rounds):
        before = time.perf_counter()
        report = await ops.ping(selector)
        taken.append((time.perf_counter() - before) * 1000)
        assert report.healthy
    return {"median_ms": statistics.median(taken), "max_ms": max(taken), "min_ms": min(taken)}


async def bench(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    results: dict[str, dict[str, float]] = {}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server())
        bus = await stack.enter_async_context(await Bus.connect(server.url, lattice=LATTICE, name="asker"))
        await ensure_buckets(bus)
        view = await stack.enter_async_context(PresenceView(bus))
        await view.wait_synced()
        store = LinkStore(bus)
        ops = LinkOps(bus, view, store)
        providers = Providers(server.url)
        stack.push_async_callback(providers.stop)

        ids = [f"p{index}" for index in range(args.instances)]
        for id in ids:
            await put_many(bus, store, id, args.links)
        await asyncio.gather(
            *(providers.start(ids[part :: args.processes]) for part in range(args.processes))
        )
        every = LinkSelector()
        await until_live(ops, every, args.instances * args.links, args.instances)
        results[f"{args.instances} instances x {args.links} links"] = await measure(ops, every, args.rounds)
        one = LinkSelector(target="p0", source_id="app-p0", name="n0")
        results["one link among them"] = await measure(ops, one, args.rounds)
        await providers.stop()

        await put_many(bus, store, "big", args.many)
        await providers.start(["big"])
        selector = LinkSelector(participant="big")
        await until_live(ops, selector, args.many, 1)
        results[f"1 instance x {args.many} links"] = await measure(ops, selector, args.rounds // 2)
        await ops.close()
    return results


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(sys.argv[2], sys.argv[3:]))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=50)
    parser.add_argument("--links", type=int, default=20)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results = asyncio.run(bench(args))
    for name, figures in results.items():
        print(f"{name:32}" + "  ".join(f"{key} {value:8.1f}" for key, value in figures.items()))
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
