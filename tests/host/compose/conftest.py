"""What the tests of composed components share: one engine with a bridge, and one without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from engine_guests import SLOTS

from lath_host.engine import Engine


@pytest.fixture(scope="session")
def bridging() -> Iterator[Engine]:
    """An engine that builds bridges."""
    engine = Engine(threads=2, instances_max=SLOTS)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="session")
def plain() -> Iterator[Engine]:
    """An engine that builds none."""
    engine = Engine(threads=2, bridge=False, instances_max=SLOTS)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(params=["bridged", "not bridged"])
def either(request: pytest.FixtureRequest, bridging: Engine, plain: Engine) -> Engine:
    """Both engines, one after the other."""
    return bridging if request.param == "bridged" else plain
