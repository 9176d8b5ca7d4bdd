"""All rigs, in the order in which they run."""

from __future__ import annotations

from typing import Final

from bench.rigs.bytes import BYTES
from bench.rigs.colocated import COLOCATED
from bench.rigs.crosshost import CROSSHOST
from bench.rigs.endurance import ENDURANCE
from bench.rigs.engine import ENGINE
from bench.rigs.footprint import FOOTPRINT
from bench.rigs.http import HTTP
from bench.rigs.instructions import INSTRUCTIONS
from bench.rigs.keyvalue import KEYVALUE
from bench.rigs.links import LINKS
from bench.rigs.messaging import MESSAGING
from bench.rigs.noisy import NOISY
from bench.rigs.starting import COLD, STARTING
from bench.rigs.sweeps import SWEEPS
from bench.rigs.telemetry import TELEMETRY

RIGS: Final = (
    CROSSHOST, COLOCATED, HTTP, KEYVALUE, MESSAGING, TELEMETRY, NOISY, ENGINE, BYTES, STARTING, COLD,
    FOOTPRINT, SWEEPS, LINKS, ENDURANCE, INSTRUCTIONS,
)  # fmt: skip
COMPARED: Final = (INSTRUCTIONS, ENGINE, COLOCATED, CROSSHOST)
"""What a comparison of two commits measures, unless told otherwise."""
