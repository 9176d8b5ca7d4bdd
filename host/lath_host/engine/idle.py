"""The instances of one component that wait for a call, within the host's budget."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from lath_host.engine.budget import WarmBudget

if TYPE_CHECKING:
    from lath_host.engine.guest import Guest


class IdleGuests:
    """Instances that wait for a call; the left one has waited longest.

    Args:
        budget: The host's. An instance holds its part from when it is kept until it is taken for its only
            call, or, where it is reused, until it is gone.

    Attributes:
        guests: Those that wait.
        seconds_max: How long one may wait; None: for ever.
    """

    def __init__(self, budget: WarmBudget, seconds_max: int | None) -> None:
        self.guests: deque[Guest] = deque()
        self.seconds_max = seconds_max
        self._budget = budget
        self._dropping: asyncio.TimerHandle | None = None

    def keep(self, guest: Guest) -> bool:
        """Has an instance wait for a call; False where the budget has no room for it."""
        if not guest.budget_bytes and not self.reserve(guest):
            return False
        self.guests.append(guest)
        if self.seconds_max is not None:  # most components keep them for ever
            loop = asyncio.get_running_loop()
            guest.rested_at = loop.time()
            if self._dropping is None:
                self._dropping = loop.call_later(self.seconds_max, self._drop)
        return True

    def reserve(self, guest: Guest) -> bool:
        """Takes the part of an instance, which gives it back when it goes."""
        if not self._budget.take(guest.memory_bytes_max):
            return False
        guest.budget_bytes = guest.memory_bytes_max
        return True

    def release(self, guest: Guest) -> None:
        """Gives the part of an instance back: it will not wait again."""
        if guest.budget_bytes:
            self._budget.give_back(guest.budget_bytes)
            guest.budget_bytes = 0

    def clear(self) -> None:
        """Discards all."""
        if self._dropping is not None:
            self._dropping.cancel()
            self._dropping = None
        while self.guests:
            self.guests.popleft().discard()

    def _drop(self) -> None:
        """Discards those that have waited too long."""
        self._dropping = None
        if self.seconds_max is None:
            return
        loop = asyncio.get_running_loop()
        while self.guests and self.guests[0].rested_at + self.seconds_max <= loop.time():
            self.guests.popleft().discard()
        if self.guests:
            self._dropping = loop.call_at(self.guests[0].rested_at + self.seconds_max, self._drop)
