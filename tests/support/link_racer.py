"""A process that puts links when told: `python link_racer.py URL LATTICE TARGET…`.

It prints `ready`, waits for a line, puts the link of `app` to each target at once, a connection each, and
prints what came of each as a line of JSON: the target, and the error's kind and message, if any.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack

from lath.bus import Bus
from lath.errors import LathError
from lath.links import LinkStore
from lath.model import LinkSpec


async def put(bus: Bus, target: str) -> dict[str, str]:
    spec = LinkSpec(
        source_id="app", target=target, wit_namespace="wasi", wit_package="keyvalue", interfaces=("store",)
    )
    try:
        await LinkStore(bus).put(spec)
    except LathError as e:
        return {"target": target, "kind": e.kind, "message": e.message}
    return {"target": target}


async def main(url: str, lattice: str, targets: list[str]) -> None:
    async with AsyncExitStack() as stack:
        buses = [
            await stack.enter_async_context(await Bus.connect(url, lattice=lattice, name=target))
            for target in targets
        ]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        for outcome in await asyncio.gather(*map(put, buses, targets)):
            sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
