"""The instances that have served their last call, and are about to be thrown away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lath_host.engine.guest import Guest


class SpentGuests:
    """Throws instances away on the loop's next turn, all that have gathered until then.

    Their callers get their results first: throwing a store away may take as long as the call did.

    Args:
        on_gone: Called for each, once it is gone.
    """

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._guests: deque[Guest] = deque()
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()

    def add(self, guest: Guest) -> None:
        """Has an instance thrown away, soon."""
        if not self._guests:
            self._loop.call_soon(self._throw)
        self._guests.append(guest)

    def _throw(self) -> None:
        guests = self._guests
        try:
            while guests:
                guests.popleft().discard(self._on_gone)
        finally:
            if guests:  # one could not be thrown away: the others' turn comes all the same
                self._loop.call_soon(self._throw)
