"""Components of WASI 0.3: async functions run like others; what cannot cross is refused at the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from async_components import ASYNC, SUBTASKS, asking, exporting
from engine_guests import no_imports
from msgpack import ExtType

from lath.errors import DeadlineExceeded, InvalidArgument, LimitExceeded, Trap, Unavailable
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import, ImportHandler
from lath_host.engine.pool import InstancePool

CONTEXT = CallContext()
Deploy = Callable[..., InstancePool]


@pytest.fixture(scope="module")
def compiled(engine: Engine) -> CompiledComponent:
    return asyncio.run(engine.compile(ASYNC))


@pytest.fixture
async def deploy(engine: Engine, compiled: CompiledComponent) -> AsyncIterator[Deploy]:
    pools: list[InstancePool] = []

    def make(on_import: ImportHandler = no_imports, **limits: Any) -> InstancePool:
        pools.append(InstancePool(engine, compiled, Limits(**limits), on_import, name="async"))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()
        assert not pool._linkage.guests


async def call(pool: InstancePool, function: str, *params: Any, timeout_ms: int | None = None) -> Any:
    return await pool.call("", function, list(params), context=CONTEXT, timeout_ms=timeout_ms)


def test_an_async_function_says_that_it_is_one(compiled: CompiledComponent) -> None:
    functions = compiled.world.exports[""].functions
    assert all(func.is_async for func in functions.values())
    assert not compiled.world.imports["lath:test/far@1.0.0"].functions["ask"].is_async


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("function", ["hello", "plain"])
async def test_an_async_export_is_called_like_any_other(deploy: Deploy, function: str, reuse: bool) -> None:
    pool = deploy(reuse=reuse)
    for name in ("Ada", "", "straße"):
        assert await call(pool, function, name) == name


@pytest.mark.parametrize("bridge", [True, False])
async def test_bytes_pass_through_an_async_export(bridge: bool) -> None:
    data = bytes(range(256)) * 100
    async with Engine(threads=1, bridge=bridge, instances_max=None) as engine:
        compiled = await engine.compile(ASYNC)
        assert (compiled.twin("export", "", "echo") is not None) is bridge
        async with InstancePool(engine, compiled, Limits(), no_imports, name="async") as pool:
            assert await call(pool, "echo", data) == data


async def test_the_import_of_an_async_export_is_awaited_while_other_calls_run(deploy: Deploy) -> None:
    both = asyncio.Barrier(2)

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        await both.wait()
        return params[0].upper()

    pool = deploy(answer)
    assert await asyncio.gather(call(pool, "ask", "a"), call(pool, "ask", "b")) == ["A", "B"]


async def test_a_guest_that_yields_goes_on_at_once(deploy: Deploy) -> None:
    assert await call(deploy(), "yield", 20_000, timeout_ms=5000) == 7


async def test_a_guest_that_yields_for_ever_ends_with_its_time_and_holds_up_nobody(deploy: Deploy) -> None:
    pool = deploy()
    endless = asyncio.create_task(call(pool, "yield", 2**32 - 1, timeout_ms=300))
    while not endless.done():
        assert await call(pool, "hello", "x") == "x"
    with pytest.raises(DeadlineExceeded):
        await endless


async def test_subtasks_of_one_guest_run_at_the_same_time(engine: Engine) -> None:
    compiled = await engine.compile(SUBTASKS)
    async with InstancePool(engine, compiled, Limits(), no_imports, name="subtasks") as pool:
        assert await call(pool, "both") == 2


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("trap", "unreachable"),
        ("forget", "failed to produce a result"),
        ("stuck", "deadlock detected"),
    ],
)
async def test_an_async_export_that_fails_says_why(deploy: Deploy, function: str, reason: str) -> None:
    pool = deploy()
    with pytest.raises(Trap, match=reason):
        await call(pool, function)
    assert await call(pool, "hello", "still there") == "still there"


async def test_the_limits_hold_for_what_an_async_export_does_later(deploy: Deploy) -> None:
    pages_max = 64
    assert 2 < await call(deploy(memory_bytes_max=pages_max << 16), "eat") <= pages_max
    with pytest.raises(DeadlineExceeded):
        await call(deploy(timeout_ms=50), "spin")
    with pytest.raises(LimitExceeded, match="fuel"):
        await call(deploy(fuel_max=100_000), "spin")


async def test_a_call_given_up_while_its_import_waits_leaves_nothing_behind(deploy: Deploy) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        asked.set()
        try:
            return await asyncio.Future()
        finally:
            ended.set()

    pool = deploy(answer)
    running = asyncio.create_task(call(pool, "ask", "x"))
    await asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()
    assert pool.stats.running == 0


# -- async imports -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[("", True), ("", False), ("async", True), ("async", False)])
def asker(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, CompiledComponent]]:
    """Whose imports are async: waited for or called asynchronously, with the bridge or without."""
    lower, bridge = request.param
    engine = Engine(threads=1, bridge=bridge, instances_max=None)
    yield engine, asyncio.run(engine.compile(asking(lower)))
    asyncio.run(engine.close())


async def ask(
    asker: tuple[Engine, CompiledComponent], answer: ImportHandler, function: str, *params: Any
) -> Any:
    engine, compiled = asker
    async with InstancePool(engine, compiled, Limits(), answer, name="asker") as pool:
        return await call(pool, function, *params)


async def test_async_imports_are_answered_like_others(asker: tuple[Engine, CompiledComponent]) -> None:
    seen: list[Any] = []

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
        await asyncio.sleep(0)
        seen.append((import_.name, import_.function, params))
        if import_.function == "try":
            return {"ok": params[0]}
        if import_.function == "open":
            return ExtType(1, b"mine")
        return None if import_.function == "tell" else params[-1] * 2

    far = "lath:test/far@1.0.0"
    assert await ask(asker, answer, "ask", "ab") == "abababab"
    assert await ask(asker, answer, "try", "x") == {"ok": "x"}
    assert await ask(asker, answer, "tell", 7) is None
    assert await ask(asker, answer, "get", "key") == "keykey"
    data = bytes(range(256)) * 40
    assert await ask(asker, answer, "echo", data) == data * 2
    assert [(name, function) for name, function, _ in seen] == [
        (far, "ask"), (far, "ask"), (far, "try"), ("", "tell"), (far, "open"), (far, "[method]bucket.get"),
        (far, "echo"),
    ]  # fmt: skip
    assert seen[5][2] == [ExtType(1, b"mine"), "key"]


async def test_async_imports_of_one_call_run_one_after_the_other(
    asker: tuple[Engine, CompiledComponent],
) -> None:
    """Not wished for, but all that the C API allows (docs/wasi-0.3.md)."""
    running: list[int] = [0]

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        running.append(running[-1] + 1)
        for _ in range(10):
            await asyncio.sleep(0)
        running.append(running[-1] - 1)
        return "x"

    assert await ask(asker, answer, "ask", "x") == "x"
    assert running == [0, 1, 0, 1, 0]


async def test_a_failed_async_import_is_told_or_traps(asker: tuple[Engine, CompiledComponent]) -> None:
    async def failing(import_: Import, context: CallContext, params: list[Any]) -> Any:
        raise Unavailable("nobody serves it")

    assert await ask(asker, failing, "try", "x") == {"err": {"other": "unavailable: nobody serves it"}}
    with pytest.raises(Trap, match=r"lath:test/far@1\.0\.0\.ask failed: unavailable"):
        await ask(asker, failing, "ask", "x")


async def test_other_calls_run_while_an_async_import_waits(asker: tuple[Engine, CompiledComponent]) -> None:
    both = asyncio.Barrier(2)

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> None:
        await both.wait()

    engine, compiled = asker
    async with InstancePool(engine, compiled, Limits(), answer, name="asker") as pool:
        await asyncio.gather(call(pool, "tell", 1), call(pool, "tell", 2))


# -- refused at the start ----------------------------------------------------------------------------------

ASYNC_IMPORT = b"""
(component (import "lath:test/far@1.0.0" (instance
  (export "thing" (type $thing (sub resource)))
  (export "ask" (func async (param "things" (option (borrow $thing))))))))
"""
FUTURE_IMPORT = b"""
(component (import "lath:test/far@1.0.0" (instance (export "ask" (func (param "f" (future string)))))))
"""
LATER_CLOCK = b"""
(component (import "wasi:clocks/monotonic-clock@0.3.0" (instance (export "now" (func (result u64))))))
"""


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (exporting("stream"), "export world give cannot be called: its signature has a stream"),
        (exporting("future"), "export world give cannot be called: its signature has a future"),
        (FUTURE_IMPORT, r"import lath:test/far@1\.0\.0 ask cannot be linked: its signature has a future"),
        (ASYNC_IMPORT, r"import lath:test/far@1\.0\.0 ask cannot be linked: it is an async function.*plain"),
        (
            LATER_CLOCK,
            r"import wasi:clocks/monotonic-clock@0\.3\.0 cannot be linked: this host has WASI 0\.2",
        ),
    ],
)
async def test_what_wasmtime_cannot_carry_keeps_a_component_from_starting(
    engine: Engine, source: bytes, reason: str
) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        InstancePool(engine, await engine.compile(source), Limits(), no_imports, name="x")


async def test_a_later_wasi_of_which_only_types_are_used_is_no_obstacle(engine: Engine) -> None:
    source = b"""
    (component (import "wasi:clocks/types@0.3.0" (instance
      (type $u64 u64) (export "duration" (type (eq $u64))))))
    """
    async with InstancePool(engine, await engine.compile(source), Limits(), no_imports, name="x") as pool:
        await pool.start()
