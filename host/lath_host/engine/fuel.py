"""The fuel of a store: what a metered guest has left to use up."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from lath_host.engine import capi


def fuel_left(context: int) -> int:
    """How much there is in the store whose context has that address."""
    left = ctypes.c_uint64()
    capi.check(capi.context_get_fuel(context, ctypes.addressof(left)))
    return left.value


def refuel(context: int, fuel: int) -> None:
    """Has there be so much from here on."""
    capi.check(capi.context_set_fuel(context, fuel))


@contextmanager
def unmetered(context: int, fuel_max: int | None) -> Iterator[None]:
    """What runs meanwhile takes nothing of what there is; `fuel_max` is None where fuel is not metered."""
    left = None if fuel_max is None else fuel_left(context)
    yield
    if left is not None:
        refuel(context, left)
