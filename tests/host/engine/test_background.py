"""Work in the background: one after another, never waited for at the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from lath_host.engine.background import Background


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background("test-background", 1)
    yield made
    made.stop()


async def test_work_comes_back_with_its_outcome_or_its_error(background: Background) -> None:
    assert await background.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await background.run(lambda: 1 // 0)
    assert await background.run(threading.current_thread) is await background.run(threading.current_thread)


async def test_work_whose_caller_has_gone_before_its_turn_never_runs(background: Background) -> None:
    begun, go, ran = threading.Event(), threading.Event(), []
    first = asyncio.ensure_future(background.run(lambda: begun.set() or go.wait(20)))
    second = asyncio.ensure_future(background.run(lambda: ran.append(2)))
    await asyncio.to_thread(begun.wait, 20)
    second.cancel()
    await asyncio.wait([second])
    go.set()
    await first
    await background.run(lambda: ran.append(3))
    assert ran == [3]


async def test_stopping_waits_for_nothing_and_begins_nothing(background: Background) -> None:
    begun, go, ran = threading.Event(), threading.Event(), []
    running = asyncio.ensure_future(background.run(lambda: begun.set() or go.wait(20)))
    waiting = asyncio.ensure_future(background.run(lambda: ran.append(2)))
    await asyncio.to_thread(begun.wait, 20)
    background.stop()
    with pytest.raises(RuntimeError, match="test-background has been stopped"):
        await background.run(lambda: ran.append(3))
    assert not running.done() and background._thread is not None
    go.set()
    await asyncio.to_thread(background._thread.join, 20)
    assert not ran and not background._thread.is_alive()
    waiting.cancel()
    await asyncio.wait([running, waiting])


def test_a_process_ends_while_work_runs() -> None:
    code = """
import asyncio, threading
from lath_host.engine.background import Background

async def main():
    begun = threading.Event()
    asyncio.ensure_future(Background("b", 1).run(lambda: begun.set() or threading.Event().wait()))
    await asyncio.to_thread(begun.wait, 20)

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
