"""Every measurement of bench/ is declared whole, and every goal is about one that is."""

from __future__ import annotations

import pytest
from bench.goals import GOALS, Goal, judge
from bench.measurement import Opened, Rig
from bench.rigs import COMPARED, RIGS
from bench.runner import Figures, declared, one_round

ALL = declared(RIGS)
NAMES = {each.name for each in ALL}


def test_every_measurement_has_a_name_a_unit_and_a_line_for_readers() -> None:
    units = {"MB/s", "us", "ms", "calls/s", "messages/s", "MiB", "instructions", "count"}
    wrong = [each for each in ALL if not each.name or each.unit not in units or not each.what]
    assert ALL
    assert wrong == []


def test_no_two_measurements_or_rigs_share_a_name() -> None:
    assert len(NAMES) == len(ALL)
    assert len({rig.name for rig in RIGS}) == len(RIGS)
    assert set(COMPARED) <= set(RIGS)


def test_what_a_measurement_is_a_ratio_of_is_declared_in_its_own_rig() -> None:
    for rig in RIGS:
        own = {each.name for each in rig.measurements}
        assert {each.ratio_of for each in rig.measurements if each.ratio_of} <= own, rig.name


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.what)
def test_a_goal_is_about_measurements_that_are_declared(goal: Goal) -> None:
    assert goal.measured in NAMES
    assert not goal.of or goal.of in NAMES


def test_a_goal_is_judged_by_the_ratio_within_each_round() -> None:
    goal = Goal("twice as fast", "a", "b", "at least", 2.0)
    moments = Figures({"a": [20.0, 2.0, 200.0], "b": [10.0, 1.0, 100.0]})
    assert judge(goal, moments).word == "met"
    assert judge(goal, Figures({"a": [19.0], "b": [10.0]})).word == "not met"
    assert judge(goal, Figures()).word == "not measured"
    assert judge(Goal("at most 50", "a", "", "at most", 50.0), moments).word == "met"


async def test_a_sample_that_its_rig_does_not_declare_is_an_error() -> None:
    async def probe() -> dict[str, float]:
        return {"nobody.declared.us": 1.0}

    rig = Rig(name="some", what="", measurements=(), open=None)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match=r"nobody\.declared\.us"):
        await one_round(rig, Opened([probe]))
