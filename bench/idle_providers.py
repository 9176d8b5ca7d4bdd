"""Providers without a backend, in a process of their own: `python -m bench.idle_providers URL ID…`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

from bench.child import until_told_to_end
from bench.lattice import LATTICE
from lath.bus import Bus
from lath.provider import Link, Provider, ProviderInstance


class _Nothing(Provider):
    """Holds nothing for its links."""

    async def open_link(self, link: Link) -> str:
        return link.name


async def _main(url: str, ids: list[str]) -> None:
    async with AsyncExitStack() as stack:
        for provider_id in ids:
            bus = await stack.enter_async_context(await Bus.connect(url, lattice=LATTICE, name=provider_id))
            await stack.enter_async_context(ProviderInstance(_Nothing(), bus, provider_id=provider_id))
        await until_told_to_end()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2:]))
