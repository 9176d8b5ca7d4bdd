"""Builds the bridge around a component, when there is something for it to carry."""

from __future__ import annotations

from wasmtime import Engine as WasmEngine
from wasmtime import WasmtimeError
from wasmtime import component as stock

from lath_host.engine.compose.binary import Malformed
from lath_host.engine.compose.bridge import bridged, crossings_of
from lath_host.engine.compose.stub import without_code
from lath_host.engine.reflect import instance_items, reflect


def bridge_around(engine: WasmEngine, source: bytes) -> bytes | None:
    """The component around `source`; None where nothing is to be carried, or `source` cannot be bridged.

    Args:
        engine: Reads the types of `source`, without its code.
        source: The bytes of a component. When they are none, wasmtime will say so better.
    """
    try:
        stub = stock.Component(engine, without_code(source))
        world = reflect(stub, engine).world
        crossings = crossings_of(world)
        return bridged(source, crossings, world, instance_items(stub, engine)) if crossings else None
    except (Malformed, WasmtimeError, ValueError):
        return None
