"""Compiles what hosts of a test are to start: the first time that takes longer than a start is waited for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lath_host.engine import Engine
from lath_host.testing import CACHE_DIR


def compile_ahead(component: Path) -> None:
    """Compiles it into the cache of the tests' engines. Blocks, for half a minute where it is large."""
    asyncio.run(_compile(component.read_bytes()))


async def _compile(source: bytes) -> None:
    async with Engine(cache_dir=CACHE_DIR) as engine:
        await engine.compile(source)
