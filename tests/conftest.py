"""What holds for every test: nothing in lath may block the event loop, and logging is as it was before."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from lath import redact

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

# Else each of the many processes that tests start compiles all of lath anew, a second of work.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups of tests go first: some take a minute, and at the end a worker alone would be busy with one."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """A blocking call (file, socket, sleep, subprocess) made by lath on the event loop raises there."""
    with blockbuster_ctx(PACKAGES, excluded_modules=EXCEPT):
        yield


@pytest.fixture(autouse=True)
def no_secret_is_hidden_from_before() -> Iterator[None]:
    """What one test has opened would be missing from the messages of the next."""
    yield
    redact.forget()


@pytest.fixture(autouse=True)
def logging_is_left_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets the level and a handler for all of it."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    for handler in list(root.handlers):
        # pytest's own come and go between the parts of a test
        if handler not in handlers and type(handler).__module__.startswith("lath."):
            root.removeHandler(handler)
