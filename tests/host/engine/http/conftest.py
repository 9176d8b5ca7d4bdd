"""What the tests of HTTP share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from engine_guests import SLOTS
from http_python_guest import build_http_guest
from http_served import Served, serving_pool

from lath_host.engine import CompiledComponent, Engine
from lath_host.testing import CACHE_DIR


@pytest.fixture(scope="session")
def python_engine() -> Iterator[Engine]:
    engine = Engine(cache_dir=CACHE_DIR, threads=2, instances_max=SLOTS)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="session")
def plain() -> Iterator[Engine]:
    """An engine whose components have neither keeper nor bridge."""
    engine = Engine(threads=2, bridge=False, instances_max=SLOTS)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="session")
def python_web(python_engine: Engine) -> CompiledComponent:
    return asyncio.run(python_engine.compile(build_http_guest()))


@pytest.fixture
async def python(python_engine: Engine, python_web: CompiledComponent) -> AsyncIterator[Served]:
    async with serving_pool(python_engine, python_web) as served:
        yield served
