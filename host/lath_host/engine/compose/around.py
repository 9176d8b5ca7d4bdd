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


def reflect_code_free(engine: WasmEngine, source: bytes) -> Reflected:
    """What a component says about itself, read without its code.

    Raises:
        Malformed, WasmtimeError, ValueError: It is none, or one that this cannot read.
    """
    return reflect(_stub(engine, source), engine)


def components_around(
    engine: WasmEngine,
    source: bytes,
    wanted: Callable[[World], Crossings] = crossings_of,
    answered: Answered | None = None,
) -> Iterator[bytes]:
    """Components around `source`, the one that does most first; none where there is nothing to do.

    A component that cannot have a keeper may still be bridged, and one that cannot be bridged may still be
    given what it needs.

    Args:
        engine: Reads the types of `source`, without its code.
        source: The bytes of a component. When they are none, wasmtime will say so better.
        wanted: What is carried.
        answered: What the host answers itself; None: nothing gets a keeper.
    """
    try:
        stub = _stub(engine, source)
        reflected, items = reflect(stub, engine), instance_items(stub, engine)
    except (Malformed, WasmtimeError, ValueError):
        return
    plan = keeper_plan(reflected, answered) if answered else None
    if plan is not None:
        with suppress(Malformed, WasmtimeError, ValueError):
            kept = with_keeper(source, plan)
            yield from components_around(engine, kept, wanted)
            yield kept
    best, needed = wanted(reflected.world), needed_of(reflected.world)
    for crossings in (best, needed) if best != needed else (best,):
        if crossings:
            with suppress(Malformed, WasmtimeError, ValueError):
                yield bridged(source, crossings, reflected.world, items)


def _stub(engine: WasmEngine, source: bytes) -> stock.Component:
    return stock.Component(engine, without_code(source))
