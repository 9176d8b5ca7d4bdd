"""A pytest plugin: a real nats-server, a lattice name and a connection for each test.

Loaded by pytest by itself where lath is installed, so importing it imports nothing heavy.

Fixtures:
    nats_server: a fresh nats-server, for this test alone.
    shared_nats_server: one nats-server for the whole session (of one xdist worker); isolate by `lattice`.
    lattice: the name of a lattice that no other test uses.
    bus: a connection to `nats_server`, for `lattice`, with its buckets made.
    memory_lattice: a lattice without any bus, in the test's own process (`lath.testing.memory_lattice`).

And `eventually`, which waits for a condition.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, overload

import pytest

try:
    from pytest_asyncio import fixture as _async_fixture
except ImportError:  # only those who use the fixtures need it

    def _async_fixture(  # type: ignore[no-redef]
        *functions: Any, loop_scope: str = "", **options: Any
    ) -> Any:
        return pytest.fixture(*functions, **options)


if TYPE_CHECKING:
    from lath.bus import Bus
    from lath.server import Server
    from lath.testing.memory_lattice import MemoryLattice

T = TypeVar("T")

_POLL_MIN_S = 0.001
_POLL_MAX_S = 0.05


@overload
async def eventually(
    condition: Callable[[], Coroutine[Any, Any, T]], timeout_s: float = ..., *, what: str = ...
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T | Awaitable[T]], timeout_s: float = ..., *, what: str = ...
) -> T: ...
async def eventually(condition: Callable[[], Any], timeout_s: float = 10.0, *, what: str = "") -> Any:
    """Waits until `condition()`, awaited when it is awaitable, is truthy and returns what it gave.

    An `AssertionError` of the condition counts as "not yet".

    Args:
        condition: Asked again and again, after short and growing pauses.
        timeout_s: How long at most.
        what: What is waited for, for the message.

    Raises:
        AssertionError: The time passed; the message tells the condition's last value or error.
    """
    last: object = None
    pause_s = _POLL_MIN_S
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    while True:
        try:
            value: Any = condition()
            if inspect.isawaitable(value):
                async with asyncio.timeout_at(end):
                    value = await value
            if value:
                return value
            last = value
        except AssertionError as e:
            last = e
        except TimeoutError as e:
            if loop.time() < end:
                raise
            last = e
        if loop.time() >= end:
            subject = what or getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"{subject} did not come true within {timeout_s} s; last: {last!r}")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _POLL_MAX_S)


@_async_fixture
async def nats_server() -> AsyncIterator[Server]:
    """A fresh nats-server with JetStream, for this test alone."""
    from lath.server import Server

    async with Server() as server:
        yield server


@_async_fixture(scope="session", loop_scope="session")
async def shared_nats_server() -> AsyncIterator[Server]:
    """One nats-server for the session. Use it, not start or stop it."""
    from lath.server import Server

    async with Server() as server:
        yield server


@pytest.fixture
def lattice() -> str:
    """The name of a lattice that nobody else uses."""
    return f"test-{secrets.token_hex(4)}"


@_async_fixture
async def bus(nats_server: Server, lattice: str) -> AsyncIterator[Bus]:
    """A connection to `nats_server`, with the lattice's buckets made."""
    from lath.bus import Bus, ensure_buckets

    async with await Bus.connect(nats_server.url, lattice=lattice, name="test") as connection:
        await ensure_buckets(connection)
        yield connection


@_async_fixture
async def memory_lattice() -> AsyncIterator[MemoryLattice]:
    """A lattice in memory; what was started in it is ended with the test."""
    from lath.testing.memory_lattice import MemoryLattice

    async with MemoryLattice() as lattice:
        yield lattice


__all__ = ["bus", "eventually", "lattice", "memory_lattice", "nats_server", "shared_nats_server"]
