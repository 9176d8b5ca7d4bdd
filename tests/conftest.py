"""What holds for every test: nothing in lath may block the event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

PACKAGES = ["lath", "lath_host", "lath_providers", "lath_control"]
TEST_TOOLS = ["lath.testing", "lath_host.testing"]


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """A blocking call (file, socket, sleep, subprocess) made by lath on the event loop raises there."""
    with blockbuster_ctx(PACKAGES, excluded_modules=TEST_TOOLS):
        yield
