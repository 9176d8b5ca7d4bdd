"""The pytest plugin: light to load, one server for a session, conditions waited for."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from lath.bus import Bus, ensure_buckets
from lath.server import Server
from lath.testing import eventually


async def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, lath.testing\n"
        "heavy = {'nats', 'pydantic', 'structlog', 'opentelemetry', 'wasmtime', 'msgpack', 'lath.errors'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("turn", [1, 2])
async def test_the_shared_server_serves_several_tests(
    shared_nats_server: Server, lattice: str, turn: int
) -> None:
    async with await Bus.connect(shared_nats_server.url, lattice=lattice, name="t") as bus:
        await ensure_buckets(bus)
        assert bus.connected


async def test_waiting_ends_with_the_condition_or_tells_what_was_last_seen() -> None:
    values = iter([0, 0, 7])
    assert await eventually(lambda: next(values)) == 7

    async def later() -> str:
        await asyncio.sleep(0)
        return "yes"

    assert await eventually(later) == "yes"

    def wrong() -> bool:
        raise AssertionError("still wrong")

    with pytest.raises(AssertionError, match=r"wrong did not come true within 0\.01 s.*still wrong"):
        await eventually(wrong, 0.01)
    with pytest.raises(AssertionError, match="did not come true"):
        await eventually(asyncio.Event().wait, 0.01)
