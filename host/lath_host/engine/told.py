"""What a guest's keeper has put off, and tells the host of with a later call (`compose.deferrable`)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from lath.wit.types import Func, Handle, ResultOf
from lath_host.engine.compose.deferrable import DROPPED, ENTRY, number_of
from lath_host.engine.wasi import Immediate

if TYPE_CHECKING:
    from lath_host.engine.guest import Guest

_SIZES_KEPT: Final = 256
"""As many as there are sizes of a log, as a rule."""
_entries: Final = ENTRY.iter_unpack


class Told:
    """Makes up for what the guests of one component have put off.

    Args:
        drop: Ends a handle that a guest has dropped: (guest, number).
    """

    def __init__(self, drop: Callable[[Guest, int], None]) -> None:
        self._drop = drop
        self._functions: dict[int, tuple[Immediate, str, bool, str]] = {}
        """By number: what answers it; what becomes of the handle that it is given (`own`, `borrow`; empty: it
        is given none); whether its result says `ok`; its interface."""

    def add(self, interface: str, function: str, func: Func, answer: Immediate) -> None:
        """A function that may be put off.

        Args:
            interface: Its interface.
            function: Its name.
            func: Its signature.
            answer: What answers it.
        """
        taken = func.params[0].type if func.params else None
        takes = taken.mode if isinstance(taken, Handle) else ""
        wraps = isinstance(func.result, ResultOf)
        self._functions[number_of(interface, function)] = (answer, takes, wraps, interface)

    def take(self, guest: Guest, size: int, address: int) -> None:
        """Makes up for what is in the log of `size` bytes at an address."""
        log = _text(size).from_address(address).raw
        if not log.isascii():
            log = log.decode().encode("latin-1")
        handles, functions, counts = guest.handles, self._functions, guest.host_calls
        local, hold_as = handles.local, handles.hold_as
        for what, number, of in _entries(log):
            if what == DROPPED:
                self._drop(guest, number)
                continue
            answer, takes, wraps, owner = functions[what]
            params: list[Any] = []
            if takes == "own":
                given = local.pop(of)
                given.let_go()
                params.append(given)
            elif takes:
                params.append(local[of])
            made = answer(guest, params)
            hold_as(number, made["ok"] if wraps else made)
            counts[owner] = counts.get(owner, 0) + 1


@lru_cache(_SIZES_KEPT)
def _text(size: int) -> Any:
    return ctypes.c_char * size
