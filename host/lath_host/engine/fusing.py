"""Makes one component of several, as far as they can be joined: where one join cannot be, the others are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lath_host.engine.compose.fuse import CannotFuse, Fused, Join, Part, fuse
from lath_host.engine.wasi import native_interface


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
    fused: Fused | None = None
    kept: list[Join] = []
    refused: list[tuple[Join, str]] = []
    reached = set(list(parts)[:1])
    for join in joins:
        if join.caller not in reached:
            continue
        try:
            fused = _fuse(parts, [*kept, join])
        except CannotFuse as error:
            refused.append((join, str(error)))
        else:
            kept.append(join)
            reached.add(join.callee)
    return Fitted(fused, tuple(kept), tuple(refused))


def _fuse(parts: Mapping[str, bytes], joins: Sequence[Join]) -> Fused:
    joined = {join.callee for join in joins}
    needed = [
        Part(name, source) for at, (name, source) in enumerate(parts.items()) if at == 0 or name in joined
    ]
    return fuse(needed, joins, lambda name: native_interface(name) is not None)
