"""When something that ended is started again: later each time, at once after a good run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lath.backoff import Backoff

GOOD_RUN_S: Final = 10.0
"""What ran so long did start: its end counts as a first one."""


@dataclass(slots=True)
class Restarts:
    """The delays before the runs of one thing.

    Attributes:
        backoff: How they grow.
        good_run_s: See `GOOD_RUN_S`.
    """

    backoff: Backoff = field(default_factory=Backoff)
    good_run_s: float = GOOD_RUN_S
    _failures: int = 0

    def next_delay_s(self, ran_s: float) -> float:
        """The delay before the next run, after one that lasted `ran_s` seconds."""
        self._failures = 1 if ran_s >= self.good_run_s else self._failures + 1
        return self.backoff.delay_ms(self._failures) / 1000
