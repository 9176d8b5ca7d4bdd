"""A whole Python interpreter as a guest: large, imports all of WASI, prints, sleeps, fills memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from engine_guests import SLOTS
from program_python_guest import build_program_guest
from python_guest import (
    LATER_SOURCE,
    LATER_WIT,
    build_python_guest,
)

from lath.codec import ComponentHandle
from lath.errors import InvalidArgument, LimitExceeded
from lath.testing import eventually
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool
from lath_host.testing import CACHE_DIR

GREET = "demo:app/greet@0.1.0"
CONTEXT = CallContext()
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def python_engine() -> Iterator[Engine]:
    engine = Engine(cache_dir=CACHE_DIR, threads=2, instances_max=SLOTS)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module")
def python_guest(python_engine: Engine) -> CompiledComponent:
    return asyncio.run(python_engine.compile(build_python_guest()))


async def answer(import_: Import, context: CallContext, params: list[Any]) -> bytes | None:
    await asyncio.sleep(0)
    return None if params[0] == "absent" else f"value of {params[0]}".encode()


async def test_a_python_guest_does_all_that_it_should(
    python_engine: Engine, python_guest: CompiledComponent
) -> None:
    lines: list[tuple[str, str]] = []
    limits = Limits(memory_bytes_max=128 << 20)
    async with InstancePool(
        python_engine, python_guest, limits, answer, name="python", log=lambda *line: lines.append(line)
    ) as pool:

        async def call(function: str, *params: Any) -> Any:
            return await pool.call(GREET, function, list(params), context=CONTEXT)

        assert await call("hello", "Jörg") == "hello Jörg"
        assert await call("run", {"name": "n", "n": 3}) == {"ok": {"text": "n", "items": [0, 1, 2]}}
        assert await asyncio.gather(call("via", "k"), call("via", "absent")) == ["value of k", "none"]
        assert await call("echo", bytes(range(256)) * 40) == bytes(range(256)) * 40
        await call("sleep", 20)
        busy = await asyncio.gather(call("spin", 100_000), call("spin", 100_000), call("hello", "x"))
        assert busy[0] == busy[1]
        assert await call("fill", 8) == 8 << 20
        with pytest.raises(LimitExceeded, match="memory_bytes_max 134217728"):
            await call("fill", 512)
        with pytest.raises(InvalidArgument, match="parameter 'r', field 'n': expected u32"):
            await call("run", {"name": "n", "n": "x"})
    assert ("stdout", "running n") in lines
    assert ("stderr", "oh") in lines


async def test_async_functions_of_a_python_guest_are_awaited(python_engine: Engine) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        await asyncio.sleep(0)
        return f"hello {params[0]}"

    guest = await asyncio.to_thread(build_python_guest, LATER_WIT, LATER_SOURCE)
    compiled = await python_engine.compile(guest)
    async with InstancePool(python_engine, compiled, Limits(), answer, name="later") as pool:
        told = await pool.call("test:later/greet@1.0.0", "hello", ["Ada"], context=CONTEXT)
    assert told == "hello Ada and hello Ada's friend"


async def test_a_python_guest_has_resources_of_its_own(python_engine: Engine) -> None:
    source = await asyncio.to_thread(build_program_guest)
    compiled = await python_engine.compile(source)
    name = "demo:app/counters@0.1.0"
    async with InstancePool(
        python_engine, compiled, Limits(), answer, name="python", instance_id="here"
    ) as pool:
        one = await pool.call(name, "[constructor]counter", [1], context=CONTEXT)
        two = await pool.call(
            name, "[constructor]counter", [2], context=CONTEXT, near=ComponentHandle.parse(one.data).token
        )
        assert await pool.call(name, "[method]counter.merge", [one, two], context=CONTEXT) == 3
        assert await pool.call(name, "[method]counter.label", [one, b"abc"], context=CONTEXT) == b"abc3"
        assert await pool.call(name, "[static]counter.take", [one], context=CONTEXT) == 3
        pool.release([ComponentHandle.parse(two.data).token])
        await eventually(lambda: pool.stats.pinned == 0)
