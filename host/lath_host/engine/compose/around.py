"""Builds what stands around a component: a keeper where it gets one, a bridge where one carries a thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from wasmtime import Engine as WasmEngine
from wasmtime import WasmtimeError
from wasmtime import component as stock

from lath.wit.types import World
from lath_host.engine.compose.binary import Malformed
from lath_host.engine.compose.bridge import Crossings, bridged, crossings_of, needed_of
from lath_host.engine.compose.stub import without_code
from lath_host.engine.compose.with_keeper import Answered, keeper_plan, with_keeper
from lath_host.engine.reflect import Reflected, instance_items, reflect


def keeper_around(engine: WasmEngine, source: bytes, answered: Answered) -> bytes | None:
    """The component around `source` and its keeper; None where it gets none.

    Args:
        engine: Reads the types of `source`, without its code.
        source: The bytes of a component.
        answered: What the host answers itself.
    """
    try:
        plan = keeper_plan(reflect_code_free(engine, source), answered)
        return with_keeper(source, plan) if plan else None
    except (Malformed, WasmtimeError, ValueError):
        return None


def reflect_code_free(engine: WasmEngine, source: bytes) -> Reflected:
    """What a component says about itself, read without its code.

    Raises:
        Malformed, WasmtimeError, ValueError: It is none, or one that this cannot read.
    """
    return reflect(stock.Component(engine, without_code(source)), engine)


def bridges_around(
    engine: WasmEngine, source: bytes, wanted: Callable[[World], Crossings] = crossings_of
) -> Iterator[bytes]:
    """Components around `source`, the one that carries most first; none where there is nothing to carry.

    A component that cannot be bridged may still be given what it needs.

    Args:
        engine: Reads the types of `source`, without its code.
        source: The bytes of a component. When they are none, wasmtime will say so better.
        wanted: What is carried.
    """
    try:
        stub = stock.Component(engine, without_code(source))
        world, items = reflect(stub, engine).world, instance_items(stub, engine)
    except (Malformed, WasmtimeError, ValueError):
        return
    best, needed = wanted(world), needed_of(world)
    for crossings in (best, needed) if best != needed else (best,):
        if crossings:
            with suppress(Malformed, WasmtimeError, ValueError):
                yield bridged(source, crossings, world, items)
