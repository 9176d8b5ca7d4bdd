"""What holds for every test: nothing in lath may block the event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

PACKAGES = ["lath", "lath_host", "lath_providers", "lath_control"]
EXCEPT = [
    "lath.testing",
    "lath_host.testing",
    "lath_control.context",
    "lath_control.local.processes",
    "lath_control.local.state",
]
"""Tools of tests; and the small files and /proc entries that a command of `lath` reads before it does
anything: nothing else runs on its loop by then."""


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """A blocking call (file, socket, sleep, subprocess) made by lath on the event loop raises there."""
    with blockbuster_ctx(PACKAGES, excluded_modules=EXCEPT):
        yield
