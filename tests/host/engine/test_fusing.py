"""Putting components together: as far as they fit, and compiled once."""

from __future__ import annotations

from pathlib import Path

import guests
from wasmtime import wat2wasm

from lath.errors import InvalidArgument
from lath_host.engine import Engine
from lath_host.engine.compose.fuse import Join
from lath_host.engine.fusing import fuse_what_compiles, fuse_what_fits

ECHO = "test:words/echo@1.0.0"
MIDDLE = "test:words/middle@1.0.0"
CHAIN = {
    "front": guests.relay(imported=MIDDLE),
    "middle": guests.relay(exported=MIDDLE),
    "echo": guests.echo(),
}
TO_MIDDLE = Join("front", MIDDLE, "middle", MIDDLE)
TO_ECHO = Join("middle", ECHO, "echo", ECHO)
PARTS = {name: bytes(wat2wasm(source)) for name, source in CHAIN.items()}


def test_all_is_joined_where_all_fits() -> None:
    fitted = fuse_what_fits(PARTS, [TO_MIDDLE, TO_ECHO])
    assert fitted.joins == (TO_MIDDLE, TO_ECHO) and fitted.refused == ()
    assert fitted.fused is not None and not fitted.fused.imports


def test_what_does_not_fit_is_left_out_with_the_reason() -> None:
    misfit = Join("middle", ECHO, "echo", "test:words/nothing@1.0.0")
    fitted = fuse_what_fits(PARTS, [TO_MIDDLE, misfit])
    assert fitted.joins == (TO_MIDDLE,)
    ((join, reason),) = fitted.refused
    assert join == misfit and "test:words/nothing@1.0.0" in reason
    assert fitted.fused is not None and set(fitted.fused.imports.values()) == {("middle", ECHO)}


def test_what_only_a_misfit_leads_to_is_left_out_too() -> None:
    misfit = Join("front", MIDDLE, "middle", "test:words/nothing@1.0.0")
    fitted = fuse_what_fits(PARTS, [misfit, TO_ECHO])
    assert (fitted.fused, fitted.joins) == (None, ())
    assert [join for join, _ in fitted.refused] == [misfit]


def test_what_is_not_taken_when_compiled_is_left_out_and_the_rest_is_joined() -> None:
    largest = fuse_what_fits(PARTS, [TO_MIDDLE]).fused
    assert largest is not None

    def compiled(source: bytes) -> int:
        if len(source) > len(largest.source):
            raise InvalidArgument("it is too large")
        return len(source)

    made, fitted = fuse_what_compiles(PARTS, [TO_MIDDLE, TO_ECHO], compiled)
    assert made == len(largest.source)
    assert fitted.fused is not None and fitted.fused.source == largest.source
    assert fitted.joins == (TO_MIDDLE,)
    assert fitted.refused == ((TO_ECHO, "invalid_argument: it is too large"),)


def test_where_nothing_compiles_nothing_is_fused_and_what_is_tried_has_the_reason() -> None:
    def refuse(source: bytes) -> None:
        raise InvalidArgument("it is too large")

    made, fitted = fuse_what_compiles(PARTS, [TO_MIDDLE, TO_ECHO], refuse)
    assert (made, fitted.fused, fitted.joins) == (None, None, ())
    assert [join for join, _ in fitted.refused] == [TO_MIDDLE]


def times_in(cache: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}


async def test_a_fused_component_comes_from_the_cache_when_it_is_made_again(tmp_path: Path) -> None:
    async def fuse_in(cache: Path) -> None:
        # without slots, which are had only while there is address space: another engine names other files
        async with Engine(cache_dir=cache, threads=1, instances_max=None) as engine:
            parts = {name: await engine.compile(source.encode()) for name, source in CHAIN.items()}
            compiled, _ = await engine.fuse(parts, [TO_MIDDLE, TO_ECHO])
            assert compiled is not None

    await fuse_in(tmp_path)
    made = times_in(tmp_path)
    assert len([name for name in made if name.endswith(".cwasm")]) == len(CHAIN) + 1
    await fuse_in(tmp_path)
    assert times_in(tmp_path) == made
