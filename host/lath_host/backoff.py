"""Waits that grow: exponential backoff with jitter, forgotten after a good run."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays between attempts.

    Attributes:
        first_s: The delay after the first failure, seconds.
        most_s: The longest delay, seconds.
        good_run_s: A run that lasted so long makes the next failure count as the first again.
    """

    first_s: float = 0.25
    most_s: float = 30.0
    good_run_s: float = 10.0
    failures: int = 0

    def next_delay_s(self, ran_s: float) -> float:
        """The delay before the next attempt, after one that ran `ran_s` seconds.

        Between half of the full delay and all of it, so that many that failed together do not come back
        together.
        """
        if ran_s >= self.good_run_s:
            self.failures = 0
        full = min(self.most_s, self.first_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return full * random.uniform(0.5, 1.0)
