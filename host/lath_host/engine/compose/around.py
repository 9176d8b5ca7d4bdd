"""Builds the bridge around a component, when there is something for it to carry."""

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
from lath_host.engine.reflect import instance_items, reflect


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
