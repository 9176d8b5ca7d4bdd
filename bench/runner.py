"""Runs rigs: probes in turn, round by round; each figure is the median of its rounds, with its spread."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.measurement import Measurement, Opened, Rig, Settings


@dataclass(slots=True)
class Figures:
    """What a run found.

    Attributes:
        samples: By measurement, one value per round.
        notes: What could not be measured, and why.
    """

    samples: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def median(self, name: str) -> float | None:
        """The figure; None where it was not measured."""
        values = self.samples.get(name)
        return statistics.median(values) if values else None

    def ratio(self, name: str, of: str) -> float | None:
        """The median over the rounds of `name` / `of`: a round is compared with itself."""
        ours, theirs = self.samples.get(name), self.samples.get(of)
        if not ours or not theirs:
            return None
        if len(ours) != len(theirs):
            return statistics.median(ours) / statistics.median(theirs)
        return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


async def one_round(rig: Rig, opened: Opened) -> dict[str, float]:
    """One sample of everything.

    Raises:
        KeyError: A probe sampled what its rig does not declare.
    """
    declared = {each.name for each in rig.measurements}
    found: dict[str, float] = {}
    for probe in opened.probes:
        found |= await probe()
    if undeclared := found.keys() - declared:
        raise KeyError(f"rig {rig.name} does not declare {', '.join(sorted(undeclared))}")
    return found


def rounds_of(rig: Rig, settings: Settings) -> int:
    """How many rounds a rig gets."""
    return min(settings.rounds, rig.rounds_max or settings.rounds)


async def measure(rigs: Sequence[Rig], settings: Settings, say: Callable[[str], None]) -> Figures:
    """Runs rigs one after another.

    Args:
        rigs: Which.
        settings: How.
        say: Told of progress, a line each.
    """
    figures = Figures()
    for rig in rigs:
        say(f"{rig.name}: {rig.what}")
        async with rig.open(settings) as opened:
            for _ in range(rounds_of(rig, settings)):
                for name, value in (await one_round(rig, opened)).items():
                    figures.samples.setdefault(name, []).append(value)
        figures.notes += [f"{rig.name}: {note}" for note in opened.notes]
    return figures


def declared(rigs: Sequence[Rig]) -> list[Measurement]:
    """All measurements of some rigs, in order."""
    return [each for rig in rigs for each in rig.measurements]
