"""The budget for warm instances of a whole host: how many may wait for calls, with how much memory.

What counts for an instance is its limit, `memory_bytes_max`, since nobody is told what it really has. Where
the budget ends, components have fewer instances made ahead, or keep fewer of them; their calls run all the
same, in instances that are made for them.
"""

from __future__ import annotations

import os
from typing import Final

from lath.errors import InvalidArgument

WARM_INSTANCES_MAX: Final = 1000
"""By default. Each has mappings of its own, of which Linux allows a process 65,530, and address space."""
OVERCOMMIT: Final = 4
"""By default, times the machine's memory: limits are what guests may reach, and few come near them."""
_MEMORY_BYTES_ASSUMED: Final = 8 << 30
"""Where the system does not say how much memory it has."""


class WarmBudget:
    """What the warm instances of all components together may have.

    Args:
        memory_bytes_max: Sum of their limits; None: four times the machine's memory.
        instances_max: How many.

    Attributes:
        memory_bytes: Of those that there are.
        instances: How many there are.
    """

    def __init__(self, memory_bytes_max: int | None = None, instances_max: int = WARM_INSTANCES_MAX) -> None:
        self.memory_bytes_max = (
            OVERCOMMIT * memory_of_machine() if memory_bytes_max is None else memory_bytes_max
        )
        self.instances_max = instances_max
        self.memory_bytes = 0
        self.instances = 0

    def check(self, component: str, memory_bytes: int) -> None:
        """Refuses a component that does not fit, with not one instance.

        Raises:
            InvalidArgument: Its limit is above the whole budget.
        """
        if memory_bytes > self.memory_bytes_max:
            raise InvalidArgument(
                f"{component} does not fit on this host: its memory_bytes_max {memory_bytes} is above what "
                f"the host has for all instances, {self.memory_bytes_max}; lower it, or give the host more"
            )

    def has_room(self, memory_bytes: int) -> bool:
        """Whether there is enough left for one instance."""
        return (
            self.instances < self.instances_max and self.memory_bytes + memory_bytes <= self.memory_bytes_max
        )

    def take(self, memory_bytes: int) -> bool:
        """Takes the part of one instance; False when there is too little left."""
        if not self.has_room(memory_bytes):
            return False
        self.instances += 1
        self.memory_bytes += memory_bytes
        return True

    def give_back(self, memory_bytes: int) -> None:
        """Gives the part of one instance back."""
        self.instances -= 1
        self.memory_bytes -= memory_bytes


def memory_of_machine() -> int:
    """In bytes, as far as the system says."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _MEMORY_BYTES_ASSUMED
