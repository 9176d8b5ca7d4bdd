"""Which instance takes a call, and whether a failed one may be tried again."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from lath.errors import Draining, LathError, LinkFailed, Overloaded, Unavailable
from lath.model.presence import Presence

ATTEMPTS_MAX: Final = 4
RETRIES_PER_CALL: Final = 0.2
"""Tokens that a call puts into the budget: in the long run at most one retry in five calls."""
RETRY_TOKENS_MAX: Final = 100.0
"""So that a burst of calls in flight to an instance that drains may all go elsewhere at once."""


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that was made without the bus, at an instance in the same process.

    Attributes:
        instance: Who failed.
        error: How.
    """

    instance: str
    error: LathError


class Balance:
    """Least outstanding of two picked at random: near the best choice, without looking at every instance."""

    def __init__(self) -> None:
        self._outstanding: dict[str, int] = {}

    def pick(self, instances: Sequence[Presence], tried: Collection[str]) -> str:
        """The instance for a call; empty when all were tried.

        Args:
            instances: Who serves the target.
            tried: Instances that this call went to already.
        """
        if tried:
            instances = [presence for presence in instances if presence.instance_id not in tried]
        count = len(instances)
        if count < 2:
            return instances[0].instance_id if count else ""
        first = int(random.random() * count)
        second = (first + 1 + int(random.random() * (count - 1))) % count
        a, b = instances[first].instance_id, instances[second].instance_id
        return b if self._outstanding.get(b, 0) < self._outstanding.get(a, 0) else a

    def began(self, instance: str) -> None:
        self._outstanding[instance] = self._outstanding.get(instance, 0) + 1

    def ended(self, instance: str) -> None:
        left = self._outstanding[instance] - 1
        if left:
            self._outstanding[instance] = left
        else:
            del self._outstanding[instance]

    def outstanding(self, instance: str) -> int:
        """Calls of this process that `instance` holds."""
        return self._outstanding.get(instance, 0)


class RetryBudget:
    """A token bucket that calls fill and retries empty: when everything fails, retries stop by themselves."""

    def __init__(self, per_call: float = RETRIES_PER_CALL, tokens_max: float = RETRY_TOKENS_MAX) -> None:
        self._per_call = per_call
        self._tokens_max = tokens_max
        self._tokens = tokens_max

    def deposit(self) -> None:
        if self._tokens < self._tokens_max:
            self._tokens = min(self._tokens_max, self._tokens + self._per_call)

    def withdraw(self) -> bool:
        """Takes one retry out, if there is one."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def may_retry(error: LathError, attempts: int, overloaded: int) -> bool:
    """Whether a call that failed with `error` may be tried on another instance.

    Args:
        error: Why the last attempt failed.
        attempts: How many there were.
        overloaded: How many of them ended as `overloaded`, this one included.
    """
    if attempts >= ATTEMPTS_MAX:
        return False
    if isinstance(error, Overloaded):
        return overloaded < 2
    return isinstance(error, Unavailable | Draining | LinkFailed)
