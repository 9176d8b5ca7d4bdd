"""Engines that nobody closes: forgotten, or left open as the process ends."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from engine_guests import MISCHIEF

from lath_host.engine import Engine

ENDING = """
import asyncio, sys
from pathlib import Path
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool

engine = Engine(threads=2, instances_max=None)
pools = []

async def on_import(*asked):
    raise AssertionError

async def begin():
    compiled = await engine.compile(Path(sys.argv[1]).read_bytes())
    pools.append(InstancePool(engine, compiled, Limits(), on_import, name="left"))
    call = pools[0].call("lath:test/mischief@1.2.0", "spin", [], context=CallContext())
    spinning = asyncio.ensure_future(call)
    while not engine.threads._threads:
        await asyncio.sleep(0)

loop = asyncio.new_event_loop()
loop.run_until_complete(begin())
print("over", flush=True)
"""


def clocks() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "lath-epochs"}


def test_the_clock_of_a_forgotten_engine_ends_with_it() -> None:
    before = clocks()
    engine = Engine(threads=1, instances_max=None)
    assert len(clocks() - before) == 1
    del engine
    gc.collect()
    assert clocks() <= before


async def test_a_closed_engine_may_be_closed_again() -> None:
    before = clocks()
    engine = Engine(threads=1, instances_max=None)
    await engine.close()
    await engine.close()
    assert clocks() <= before


@pytest.mark.parametrize("_", range(3))
def test_a_process_ends_well_that_leaves_an_engine_open_while_a_guest_computes(
    tmp_path: Path, _: int
) -> None:
    source = tmp_path / "mischief.wat"
    source.write_bytes(MISCHIEF)
    ended = subprocess.run(
        [sys.executable, "-c", ENDING, str(source)],
        env=os.environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "over\n"), ended.stderr
