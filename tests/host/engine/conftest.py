"""What the engine's tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from lath_host.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One engine for the session, as in a host."""
    engine = Engine(threads=2)
    yield engine
    asyncio.run(engine.close())
