"""How long to wait before something that failed is tried again: exponential backoff with jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter, capped.

    Attributes:
        first_ms: The delay after the first failure, before jitter.
        max_ms: The longest delay. Half a minute: a backend that came back is found soon, and a dead one
            costs two tries a minute.
        factor: By how much each failure lengthens the delay.
    """

    first_ms: float = 250.0
    max_ms: float = 30_000.0
    factor: float = 2.0

    def delay_ms(self, attempt: int) -> float:
        """The delay after failure number `attempt` (from 1): half of it fixed, half of it random.

        The random half keeps a thousand links of one dead backend from knocking at the same instant.
        """
        exponent = min(attempt - 1, 64)  # past this any factor is beyond the cap; floats stay finite
        full = min(self.first_ms * self.factor**exponent, self.max_ms)
        return full / 2 + random.uniform(0, full / 2)
