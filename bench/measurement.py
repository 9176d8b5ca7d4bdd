"""How a measurement is declared: its name and unit, which way is better, and the rig that samples it.

A rig sets up once (servers, hosts, components) and offers probes. A probe takes one sample of one or more
measurements. The runner calls the probes in turn, round by round, so that a noisy moment hits all alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

Better = Literal["higher", "lower"]
Values = Mapping[str, float]
"""A sample: measurement name -> value."""
Probe = Callable[[], Awaitable[Values]]

FLOOR: Final = 0.03
"""The least change of a wall-clock figure that is called one, whatever its spread: three per cent is what the
layout of memory alone does to a process."""
FLOOR_COUNTED: Final = 0.02
"""The same for instruction counts. One tree gives the same count again to a few in ten thousand. Under
another path, whose length moves what lies in memory, hashes fall otherwise and tables grow at another moment:
of a commit beside itself one count in eight (`mirror_apply`) differed by 1.2 %, in each incarnation."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure.

    Attributes:
        name: `rig.case.figure`, unique.
        unit: Of its values.
        better: Which way is better.
        what: One line for readers.
        ratio_of: The measurement that it is shown as a ratio of; empty: of none.
        floor: The least relative change that a comparison calls one.
    """

    name: str
    unit: str
    better: Better
    what: str
    ratio_of: str = ""
    floor: float = FLOOR


@dataclass(frozen=True, slots=True)
class Settings:
    """How long a run may take, and for what.

    Attributes:
        rounds: Times that each probe is called.
        seconds: Length of one sample, where a sample has a length.
        full: Measure also what takes minutes.
        peers: Measure also what is not lath.
        folder: For temporary files.
        compiled: Where hosts keep compiled components between runs.
    """

    rounds: int
    seconds: float
    full: bool
    peers: bool
    folder: Path
    compiled: Path


@dataclass(slots=True)
class Opened:
    """A rig that stands.

    Attributes:
        probes: In the order in which they are called.
        notes: What could not be measured here, and why.
    """

    probes: list[Probe] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rig:
    """A set-up, and what is measured with it.

    Attributes:
        name: How the command line calls it.
        what: One line for readers.
        measurements: All that its probes may sample.
        open: Sets up and tears down.
        rounds_max: Where a sample is costly, or repeats exactly: the rounds that are enough.
        slow: Left out of a quick run.
        undisturbed: Its samples are the same whatever else runs, so that two may be taken at once.
    """

    name: str
    what: str
    measurements: tuple[Measurement, ...]
    open: Callable[[Settings], AbstractAsyncContextManager[Opened]]
    rounds_max: int | None = None
    slow: bool = False
    undisturbed: bool = False
