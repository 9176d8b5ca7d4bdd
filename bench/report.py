"""The tables, and the JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.decide import Verdict
from bench.goals import Goal, judge
from bench.machine import machine
from bench.measurement import Measurement
from bench.runner import Figures


def _number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show_figures(console: Console, measurements: Sequence[Measurement], figures: Figures) -> None:
    """One line per measurement: median, lowest and highest round, ratio."""
    table = Table("measurement", "median", "unit", "lowest, highest", "ratio", "of", "what", box=None)
    for each in measurements:
        values = figures.samples.get(each.name)
        if not values:
            continue
        ratio = figures.ratio(each.name, each.ratio_of) if each.ratio_of else None
        shown, of = (_number(ratio), each.ratio_of) if ratio is not None else ("", "")
        table.add_row(
            each.name, _number(statistics.median(values)), each.unit,
            f"{_number(min(values))}, {_number(max(values))}", shown, of, each.what,
        )  # fmt: skip
    console.print(table)
    for note in figures.notes:
        console.print(f"not measured: {note}", markup=False)


def show_goals(console: Console, goals: Sequence[Goal], figures: Figures) -> None:
    """One line per goal: what is asked for, what was measured, whether it is met."""
    if not goals:
        return
    console.print()
    table = Table("to reach", "goal", "measured", "", box=None)
    for goal in goals:
        outcome = judge(goal, figures)
        asked = "" if goal.bound == "stated" else f"{goal.bound} {goal.limit:g}"
        value = "" if outcome.value is None else _number(outcome.value)
        table.add_row(goal.what, asked, value, outcome.word)
    console.print(table)


def show_verdicts(
    console: Console,
    measurements: Sequence[Measurement],
    verdicts: Mapping[str, Verdict],
    notes: Sequence[str],
) -> None:
    """One line per measurement: medians of both trees, ratio, its interval, verdict."""
    table = Table("measurement", "unit", "base", "now", "now/base", "99 % interval", "verdict", box=None)
    for each in measurements:
        verdict = verdicts.get(each.name)
        if verdict is not None:
            table.add_row(
                each.name, each.unit, _number(verdict.base), _number(verdict.now), f"{verdict.ratio:.3f}",
                f"{verdict.low:.3f} to {verdict.high:.3f}", verdict.word,
            )  # fmt: skip
    console.print(table)
    for note in notes:
        console.print(f"not compared: {note}", markup=False)


def figures_json(
    measurements: Sequence[Measurement], goals: Sequence[Goal], figures: Figures
) -> dict[str, Any]:
    """Machine, versions, every sample, the goals."""
    found = {}
    for each in measurements:
        if values := figures.samples.get(each.name):
            found[each.name] = {
                **_described(each),
                "median": statistics.median(values),
                "samples": values,
                "ratio": figures.ratio(each.name, each.ratio_of) if each.ratio_of else None,
            }
    outcomes = [judge(goal, figures) for goal in goals]
    return {
        **machine(),
        "measurements": found,
        "goals": [{**asdict(each.goal), "value": each.value, "outcome": each.word} for each in outcomes],
        "not_measured": figures.notes,
    }


def verdicts_json(
    base: str, measurements: Sequence[Measurement], verdicts: Mapping[str, Verdict], notes: Sequence[str]
) -> dict[str, Any]:
    """Machine, versions, both commits, the verdicts."""
    found = {
        each.name: {**_described(each), **asdict(verdicts[each.name])}
        for each in measurements
        if each.name in verdicts
    }
    return {**machine(), "base": base, "verdicts": found, "not_compared": list(notes)}


def _described(measurement: Measurement) -> dict[str, Any]:
    described = asdict(measurement)
    del described["name"]
    return described
