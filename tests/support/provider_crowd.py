"""Many provider instances in one process: `python provider_crowd.py URL LATTICE TTL_MS ID…`.

An id may stand twice. Each has a connection of its own. It prints `ready` when all are present, and serves
until its input ends.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

from lath.bus import Bus
from lath.provider import ProviderInstance
from lath.testing.memory_keyvalue import MemoryKeyValue


async def main(url: str, lattice: str, ttl_ms: int, ids: list[str]) -> None:
    async with AsyncExitStack() as stack:
        for id in ids:
            bus = await stack.enter_async_context(await Bus.connect(url, lattice=lattice, name=id))
            provider = ProviderInstance(MemoryKeyValue(), bus, provider_id=id, presence_ttl_ms=ttl_ms)
            await stack.enter_async_context(provider)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
