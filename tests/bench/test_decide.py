"""What `make bench BASE=` calls a change: beyond the noise, in every incarnation, and beyond the floor."""

from __future__ import annotations

import random

import pytest
from bench.decide import Verdict, decide
from bench.measurement import FLOOR_COUNTED, Measurement

TIME = Measurement("rig.case.us", "us", "lower", "a time")
RATE = Measurement("rig.case.calls_per_s", "calls/s", "higher", "a rate")
COUNT = Measurement("rig.case", "instructions", "lower", "a count", floor=FLOOR_COUNTED)
MEMORY = Measurement("rig.case.mib", "MiB", "lower", "memory")


def pairs(
    factor: float, *, noise: float = 0.02, incarnations: int = 3, rounds: int = 5, seed: int = 7
) -> list[list[tuple[float, float]]]:
    """Samples of two trees of which the second takes `factor` times as long, each with noise of its own."""
    draw = random.Random(seed)

    def sample(of: float) -> float:
        return of * draw.lognormvariate(0, noise)

    return [[(sample(100), sample(100 * factor)) for _ in range(rounds)] for _ in range(incarnations)]


def word(measurement: Measurement, *args: float, **options: float) -> str:
    return decide(measurement, pairs(*args, **options)).word  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_two_trees_that_do_not_differ_are_the_same(seed: int) -> None:
    assert word(TIME, 1.0, noise=0.1, seed=seed) == "same"


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_a_change_beyond_the_noise_is_called_by_what_it_is(factor: float) -> None:
    longer = factor > 1
    assert word(TIME, factor) == ("slower" if longer else "faster")
    assert word(RATE, factor) == ("faster" if longer else "slower")
    assert word(MEMORY, factor) == ("larger" if longer else "smaller")


def test_a_change_within_the_noise_is_not_called() -> None:
    assert word(TIME, 1.05, noise=0.3) == "same"


def test_a_change_below_the_floor_is_not_called_however_certain() -> None:
    found = decide(TIME, pairs(1.02, noise=0.0001))
    assert found.low > 1
    assert found.word == "same"


def test_instruction_counts_have_a_lower_floor() -> None:
    assert word(COUNT, 1.025, noise=0.0001, incarnations=2, rounds=1) == "slower"
    assert word(COUNT, 1.015, noise=0.0001, incarnations=2, rounds=1) == "same"


def test_a_change_that_only_some_incarnations_show_is_not_called() -> None:
    steady = pairs(1.0, noise=0.001, incarnations=1)
    slower = pairs(1.2, noise=0.001, incarnations=2)
    assert decide(TIME, slower).word == "slower"
    assert decide(TIME, slower + steady).word == "same"


def test_noise_that_both_trees_share_does_not_hide_a_change() -> None:
    draw = random.Random(3)
    moments = [[draw.lognormvariate(4, 1) for _ in range(5)] for _ in range(3)]
    found = decide(TIME, [[(moment, 1.2 * moment) for moment in each] for each in moments])
    assert found.word == "slower"
    assert found.ratio == pytest.approx(1.2)


def test_the_same_samples_give_the_same_verdict() -> None:
    found: list[Verdict] = [decide(TIME, pairs(1.04)) for _ in range(2)]
    assert found[0] == found[1]


def test_the_figures_of_both_trees_are_their_medians() -> None:
    found = decide(TIME, [[(10.0, 20.0), (12.0, 24.0)], [(11.0, 22.0)]])
    assert (found.base, found.now, found.ratio) == (11.0, 22.0, 2.0)
