"""Whether two trees differ: paired samples in, `faster`, `slower` or `same` out.

A sample of one tree and the sample of the other that was taken right before or after it make a pair. Pairs
come in incarnations: processes started anew, because what one process happens to be (layout of memory, order
of hashes) shifts all of its samples alike. The figure is the median of the pairs' ratios. Its interval is
a hierarchical bootstrap: incarnations are drawn with replacement, then pairs within each. A change is called
only where the whole interval lies on one side of 1 *and* the figure is beyond the floor.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bench.measurement import Measurement

CONFIDENCE: Final = 0.99
"""A run compares dozens of figures: at 95 % one or two of them would differ by chance."""
RESAMPLES: Final = 4_000
SEED: Final = 1
"""The same samples give the same verdict."""

Word = Literal["faster", "slower", "smaller", "larger", "same"]
Pairs = Sequence[Sequence[tuple[float, float]]]
"""By incarnation: (base, now) of each round."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison came to.

    Attributes:
        base: Median of the base's samples.
        now: Median of the other's.
        ratio: Median of now / base over the pairs.
        low: Lower end of the ratio's interval.
        high: Its upper end.
        word: What to call it.
    """

    base: float
    now: float
    ratio: float
    low: float
    high: float
    word: Word


def decide(measurement: Measurement, pairs: Pairs) -> Verdict:
    """Compares; `pairs` holds one pair at least, of values above zero."""
    ratios = [[now / base for base, now in incarnation] for incarnation in pairs if incarnation]
    ratio = statistics.median(each for incarnation in ratios for each in incarnation)
    low, high = _interval(ratios)
    beyond = ratio > 1 + measurement.floor or ratio < 1 / (1 + measurement.floor)
    word: Word = "same"
    if beyond and (low > 1 or high < 1):
        word = _word(measurement, up=ratio > 1)
    flat = [pair for incarnation in pairs for pair in incarnation]
    return Verdict(
        statistics.median(base for base, _ in flat), statistics.median(now for _, now in flat),
        ratio, low, high, word,
    )  # fmt: skip


def _interval(ratios: Sequence[Sequence[float]]) -> tuple[float, float]:
    draw = random.Random(SEED)
    medians = []
    for _ in range(RESAMPLES):
        drawn: list[float] = []
        for incarnation in draw.choices(ratios, k=len(ratios)):
            drawn += draw.choices(incarnation, k=len(incarnation))
        medians.append(statistics.median(drawn))
    medians.sort()
    cut = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return medians[cut], medians[-1 - cut]


def _word(measurement: Measurement, *, up: bool) -> Word:
    if measurement.unit == "MiB":
        return "larger" if up else "smaller"
    return "faster" if up == (measurement.better == "higher") else "slower"
