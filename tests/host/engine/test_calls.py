"""Calls: what a guest's imports see, and how failures come out."""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Callable
from typing import Any

import pytest
from engine_guests import MISCHIEF, Context, no_imports

from lath.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    LimitExceeded,
    LinkNotFound,
    NotFound,
    Trap,
    Unavailable,
)  # fmt: skip
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import, ImportHandler
from lath_host.engine.pool import InstancePool

MISCHIEF_INTERFACE = "lath:test/mischief@1.2.0"
CONTEXT = CallContext()


@pytest.fixture(scope="module")
def mischief(engine: Engine) -> CompiledComponent:
    return asyncio.run(engine.compile(MISCHIEF))


Deploy = Callable[..., InstancePool]


@pytest.fixture
async def deploy(engine: Engine, mischief: CompiledComponent) -> Any:
    pools: list[InstancePool] = []

    def make(on_import: ImportHandler = no_imports, **limits: Any) -> InstancePool:
        pools.append(InstancePool(engine, mischief, Limits(**limits), on_import, name="mischief"))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()
        assert not pool._linkage.guests


def call(pool: InstancePool, function: str, *params: Any, timeout_ms: int | None = None) -> Any:
    return pool.call(MISCHIEF_INTERFACE, function, list(params), context=CONTEXT, timeout_ms=timeout_ms)


async def test_an_import_is_told_which_it_is_and_on_whose_behalf(deploy: Deploy) -> None:
    seen: list[Any] = []

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        seen.append((import_, context, params))
        return params[0].upper()

    pool = deploy(answer)
    context = Context("mine")
    assert await pool.call(MISCHIEF_INTERFACE, "ask", ["straße"], context=context) == "STRASSE"
    ((import_, seen_context, params),) = seen
    assert seen_context is context
    assert params == ["straße"]
    assert import_.name == import_.interface.name == "lath:test/far@1.0.0"
    assert (import_.function, import_.link_name) == ("ask", "default")
    assert [param.name for param in import_.func.params] == ["key"]


async def test_an_import_sees_the_context_variables_of_its_caller(deploy: Deploy) -> None:
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> str:
        await asyncio.sleep(0)
        return trace.get()

    pool = deploy(answer)

    async def caller(name: str) -> str:
        trace.set(name)
        return str(await call(pool, "ask", "x"))

    assert await asyncio.gather(caller("a"), caller("b")) == ["a", "b"]


async def failing(import_: Import, context: CallContext, params: list[Any]) -> Any:
    raise Unavailable("nobody serves it")


async def test_a_failed_import_reaches_a_guest_whose_error_is_a_string(deploy: Deploy) -> None:
    assert await call(deploy(failing), "try", "x") == {"err": "unavailable: nobody serves it"}


async def test_a_failed_import_reaches_a_guest_whose_error_has_a_case_other(deploy: Deploy) -> None:
    assert await call(deploy(failing), "attempt", "x") == {"err": {"other": "unavailable: nobody serves it"}}


@pytest.mark.parametrize("function", ["ask", "tell"])
async def test_a_failed_import_without_a_place_for_it_traps_with_the_failure_as_cause(
    deploy: Deploy, function: str
) -> None:
    pool = deploy(failing)
    with pytest.raises(Trap, match=rf"lath:test/far@1.0.0.{function} failed: unavailable") as raised:
        await call(pool, function, "x")
    assert isinstance(raised.value.__cause__, Unavailable)
    assert await call(pool, "hello", "still there") == "still there"


async def test_an_import_that_answers_another_type_has_run_and_fails_by_its_path(deploy: Deploy) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
        return {"ok": 5}

    told = await call(deploy(answer), "try", "x")
    where = "internal: the answer of lath:test/far@1.0.0.try is malformed"
    assert told == {"err": f"{where}: result, ok: expected string, got '5'"}


async def test_a_defect_in_what_answers_is_internal(deploy: Deploy) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
        raise KeyError("oops")

    result = await call(deploy(answer), "try", "x")
    assert result["err"].startswith("internal: import lath:test/far@1.0.0.try: KeyError")
    with pytest.raises(Trap) as raised:
        await call(deploy(answer), "ask", "x")
    assert isinstance(raised.value.__cause__, Internal)


async def test_an_answer_cancelled_from_elsewhere_is_a_failed_import(deploy: Deploy) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
        gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        gone.cancel()
        return await gone

    result = await call(deploy(answer), "try", "x")
    assert result == {"err": "internal: import lath:test/far@1.0.0.try: what answers it was cancelled"}


async def test_a_missing_link_is_told_like_any_failure(deploy: Deploy) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
        raise LinkNotFound("no link")

    assert await call(deploy(answer), "try", "x") == {"err": "link_not_found: no link"}


async def test_a_trap_says_what_happened_and_where(deploy: Deploy) -> None:
    with pytest.raises(Trap, match=r"unreachable.* backtrace: 0: +0x[0-9a-f]+ - guest!\S+ function \d+>$"):
        await call(deploy(), "trap")


async def test_a_call_past_its_time_raises_and_frees_the_instance(deploy: Deploy) -> None:
    pool = deploy(max_instances=1)
    with pytest.raises(DeadlineExceeded, match="mischief did not answer within 20 ms"):
        await call(pool, "spin", timeout_ms=20)
    assert await call(pool, "hello", "x") == "x"


async def test_a_call_past_its_time_while_an_import_waits_raises(deploy: Deploy) -> None:
    cancelled = asyncio.Event()

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    pool = deploy(answer, max_instances=1)
    with pytest.raises(DeadlineExceeded):
        await call(pool, "ask", "x", timeout_ms=20)
    assert cancelled.is_set()
    assert await call(pool, "hello", "x") == "x"


@pytest.mark.parametrize("function", ["spin", "ask"])
async def test_cancelling_a_call_frees_its_instance(deploy: Deploy, function: str) -> None:
    async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
        await asyncio.Event().wait()

    pool = deploy(answer, max_instances=1)
    for delays in range(4):
        task = asyncio.ensure_future(call(pool, function, *(["x"] if function == "ask" else [])))
        for _ in range(delays * 3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(10):
        assert await call(pool, "hello", "x") == "x"
    await pool.drain()
    assert pool.stats.running == 0


async def test_memory_past_the_limit_is_denied_to_the_guest(deploy: Deploy) -> None:
    pages = await call(deploy(memory_bytes_max=16 * 1024 * 1024), "eat")
    assert 0 < pages <= 256


async def test_a_component_that_needs_more_memory_than_it_may_have_does_not_start(
    engine: Engine, mischief: CompiledComponent
) -> None:
    async with InstancePool(
        engine, mischief, Limits(memory_bytes_max=65536), no_imports, name="mischief"
    ) as pool:
        with pytest.raises(InvalidArgument, match="memory_bytes_max"):
            await pool.start()
        with pytest.raises(LimitExceeded, match="memory_bytes_max 65536"):
            await call(pool, "hello", "x")
        assert pool.stats.running == 0


async def test_fuel_ends_a_call_that_works_too_much_and_not_another(deploy: Deploy) -> None:
    pool = deploy(fuel_max=100_000, reuse=True)
    for _ in range(5):
        await call(pool, "work", 1_000)
    with pytest.raises(LimitExceeded, match="fuel_max 100000"):
        await call(pool, "spin")
    assert await call(pool, "hello", "x") == "x"


async def test_names_that_do_not_exist_are_told_with_what_does(deploy: Deploy) -> None:
    pool = deploy()
    with pytest.raises(NotFound, match=r"no function 'nope'.*it has hello, ask"):
        await call(pool, "nope")
    with pytest.raises(NotFound, match=r"does not export lath:test/other, but lath:test/mischief@1\.2\.0"):
        await pool.call("lath:test/other", "hello", ["x"], context=CONTEXT)
    with pytest.raises(NotFound, match="functions of its world"):
        await pool.call("", "hello", ["x"], context=CONTEXT)


@pytest.mark.parametrize(
    "name", ["lath:test/mischief", "lath:test/mischief@1.0.7", "lath:test/mischief@2.0.0"]
)
async def test_an_export_is_called_by_its_exact_name(deploy: Deploy, name: str) -> None:
    """Which version serves which caller is settled before: the engine matches none."""
    pool = deploy()
    with pytest.raises(NotFound, match=rf"does not export {re.escape(name)}, but lath:test/mischief@1\.2\.0"):
        await pool.call(name, "hello", ["x"], context=CONTEXT)
    assert await pool.call(MISCHIEF_INTERFACE, "hello", ["x"], context=CONTEXT) == "x"
