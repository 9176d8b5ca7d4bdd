"""Values of random types give the same answers handed over, sent over the bus, and passed inside wasm.

Below hosts and links: a caller's pool, a callee's pool, and between them what each way does to values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pprint import pformat
from typing import Any

from engine_components import echo, forward
from engine_guests import no_imports
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from placed_guests import at_interface
from wasmtime import wat2wasm
from wit_strategies import types, wire_values

from lath.codec import params_packer, result_packer, size_check, unpack_for_type
from lath.wit.types import Primitive, Type
from lath_host.engine import Engine
from lath_host.engine.compose.fuse import Join, Part, fuse
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool
from lath_host.engine.wasi import native_interface

FAR = "lath:test/far@1.0.0"
CONTEXT = CallContext()
REUSE = Limits(reuse=True)
Answer = Callable[[list[Any]], Awaitable[Any]]


async def called(engine: Engine, source: bytes, values: Any, far: Callable[..., Awaitable[Any]]) -> Any:
    """What `echo` of a component gives; `far` answers its import."""
    compiled = await engine.compile(source)
    async with InstancePool(engine, compiled, REUSE, far, name="front") as pool:
        return await pool.call("", "echo", [values], context=CONTEXT)


def over_the_bus(answer: Answer) -> Callable[..., Awaitable[Any]]:
    async def far(import_: Import, context: CallContext, params: list[Any]) -> Any:
        sent = params_packer(import_.func)(params)
        return unpack_for_type(result_packer(import_.func)(await answer(unpack_for_type(sent))))

    return far


def handed_over(answer: Answer) -> Callable[..., Awaitable[Any]]:
    async def far(import_: Import, context: CallContext, params: list[Any]) -> Any:
        for check, value in (
            (size_check([param.type for param in import_.func.params]), params),
            (size_check(import_.func.result), result := await answer(params)),
        ):
            if check is not None:
                check(value)
        return result

    return far


def fused(front: bytes, back: bytes) -> bytes:
    parts = [Part("front", bytes(wat2wasm(front))), Part("back", bytes(wat2wasm(back)))]
    return fuse(
        parts, [Join("front", FAR, "back", FAR)], lambda name: native_interface(name) is not None
    ).source


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), type_=types())
async def test_random_values_are_the_same_all_three_ways(engine: Engine, data: Any, type_: Type) -> None:
    values: Any = data.draw(st.lists(wire_values(type_, nan=True), max_size=3))
    if type_ == Primitive("u8"):
        values = bytes(values)
    front, back = forward(type_), at_interface(echo(type_), FAR)
    compiled = await engine.compile(back)
    async with InstancePool(engine, compiled, REUSE, no_imports, name="back") as pool:

        async def answer(params: list[Any]) -> Any:
            return await pool.call(FAR, "echo", params, context=CONTEXT)

        sent = await called(engine, front, values, over_the_bus(answer))
        handed = await called(engine, front, values, handed_over(answer))
    inside = await called(engine, fused(front, back), values, no_imports)
    # as text: not a number equals nothing, and 0.0 equals -0.0
    assert pformat(sent) == pformat(handed) == pformat(inside) == pformat(values)
