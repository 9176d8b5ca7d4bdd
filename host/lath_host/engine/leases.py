"""Leases: what is renewed in time stays, and of the rest somebody is told; one timer for all.

All that is leased under the same limits has a lease of the same length, so lengths are few; what is over
first stands first among those of its length.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar


class Leased(Protocol):
    """What has a lease. Its length stays as it is.

    Attributes:
        due: When the lease is over, in the loop's time.
    """

    due: float

    @property
    def lease_seconds(self) -> int: ...


Holder = TypeVar("Holder", bound=Leased)


class Leases(Generic[Holder]):
    """Those whose leases run.

    Args:
        over: Gets each whose lease is over, and renews or ends it.
    """

    def __init__(self, over: Callable[[Holder], None]) -> None:
        self._over = over
        self._by_length: dict[int, dict[Holder, None]] = {}
        """The one that was renewed longest ago comes first."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._by_length.values()))

    def __iter__(self) -> Iterator[Holder]:
        return (holder for holders in list(self._by_length.values()) for holder in list(holders))

    def renew(self, holder: Holder) -> None:
        """Its lease begins now, for the first time or anew."""
        loop = asyncio.get_running_loop()
        holder.due = loop.time() + holder.lease_seconds
        holders = self._by_length.setdefault(holder.lease_seconds, {})
        holders.pop(holder, None)
        holders[holder] = None
        if self._timer is None or holder.due < self._timer.when():
            self._wake_at(holder.due)

    def end(self, holder: Holder) -> None:
        """It has no lease any more, if it had one."""
        holders = self._by_length.get(holder.lease_seconds, {})
        holders.pop(holder, None)
        if not holders:
            self._by_length.pop(holder.lease_seconds, None)

    def close(self) -> None:
        """Nobody is told any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_at(self, due: float) -> None:
        self.close()
        self._timer = asyncio.get_running_loop().call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for holders in list(self._by_length.values()):
            for holder in list(holders):
                if holder.due > now:
                    break
                self._over(holder)
        if self._by_length:
            self._wake_at(min(next(iter(holders)).due for holders in self._by_length.values()))
