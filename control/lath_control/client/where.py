"""Finds what runs under one id, among all that runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

from lath.errors import NotFound
from lath.names import check_target


class _Placed(Protocol):
    @property
    def id(self) -> str: ...


Placed = TypeVar("Placed", bound=_Placed)


def where(kind: Literal["component", "provider"], wanted: str, everywhere: Sequence[Placed]) -> list[Placed]:
    """Those of `everywhere` whose id is `wanted`.

    Raises:
        InvalidArgument: It is no id.
        NotFound: There is none of that id; the message has those that there are.
    """
    check_target(wanted, f"{kind} id")
    found = [each for each in everywhere if each.id == wanted]
    if not found:
        there = ", ".join(sorted({each.id for each in everywhere})) or "none"
        raise NotFound(f"no {kind} {wanted} is in the lattice; there are: {there}")
    return found
