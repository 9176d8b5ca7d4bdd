"""Makes one component of several, as far as they can be joined: where one join cannot be, the others are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lath.errors import InvalidArgument
from lath_host.engine.compose.fuse import CannotFuse, Fused, Join, Part, fuse
from lath_host.engine.wasi import native_interface

Compiled = TypeVar("Compiled")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of joining components.

    Attributes:
        fused: The component; None where nothing could be joined.
        joins: Those that are in it.
        refused: Those that are not, each with the reason.
    """

    fused: Fused | None
    joins: tuple[Join, ...]
    refused: tuple[tuple[Join, str], ...]


def fuse_what_fits(parts: Mapping[str, bytes], joins: Sequence[Join]) -> Fitted:
    """Joins what can be joined. Blocks: call it in a thread.

    Args:
        parts: Components by name, the one whose exports are kept first.
        joins: In an order in which each begins at the first part, or where an earlier one leads.
    """
    try:
        return Fitted(_fuse(parts, joins), tuple(joins), ())
    except CannotFuse as error:
        if len(joins) == 1:
            return Fitted(None, (), ((joins[0], str(error)),))
    return _one_by_one(parts, joins, lambda fused: fused)[1]


def fuse_what_compiles(
    parts: Mapping[str, bytes], joins: Sequence[Join], compile_: Callable[[bytes], Compiled]
) -> tuple[Compiled | None, Fitted]:
    """Likewise, and compiles it. Where all together is refused, what is not is found join by join.

    Args:
        parts: As for `fuse_what_fits`.
        joins: Likewise.
        compile_: Raises `InvalidArgument` where wasmtime does not take what it is given.
    """
    fitted = fuse_what_fits(parts, joins)
    if fitted.fused is None:
        return None, fitted
    try:
        return compile_(fitted.fused.source), fitted
    except InvalidArgument as error:
        if len(fitted.joins) == 1:
            return None, Fitted(None, (), (*fitted.refused, (fitted.joins[0], str(error))))
    compiled, compiling = _one_by_one(parts, fitted.joins, lambda fused: compile_(fused.source))
    return compiled, replace(compiling, refused=(*fitted.refused, *compiling.refused))


def _one_by_one(
    parts: Mapping[str, bytes], joins: Sequence[Join], make: Callable[[Fused], Made]
) -> tuple[Made | None, Fitted]:
    """Adds join to join, and leaves out those with which nothing can be made."""
    made: Made | None = None
    fused: Fused | None = None
    kept: list[Join] = []
    refused: list[tuple[Join, str]] = []
    reached = set(list(parts)[:1])
    for join in joins:
        if join.caller not in reached:
            continue
        try:
            tried = _fuse(parts, [*kept, join])
            made = make(tried)
        except (CannotFuse, InvalidArgument) as error:
            refused.append((join, str(error)))
        else:
            fused = tried
            kept.append(join)
            reached.add(join.callee)
    return made, Fitted(fused, tuple(kept), tuple(refused))


def _fuse(parts: Mapping[str, bytes], joins: Sequence[Join]) -> Fused:
    joined = {join.callee for join in joins}
    needed = [
        Part(name, source) for at, (name, source) in enumerate(parts.items()) if at == 0 or name in joined
    ]
    return fuse(needed, joins, lambda name: native_interface(name) is not None)
