"""How results look as text, where that takes more than printing them."""

from __future__ import annotations

import pytest
from rich.console import Console

from lath.model import ComponentDescription, PingReport
from lath_control.cli.tables import fused_with, ping


@pytest.mark.parametrize(
    ("fused", "stats", "text"),
    [
        (None, {"calls": 7, "calls_fused": 0}, "-"),
        (("b", "c"), {"calls": 0, "calls_fused": 0}, "b, c"),
        (("b", "c"), {"calls": 7, "calls_fused": 7}, "b, c"),
        (("b", "c"), {"calls": 7, "calls_fused": 3}, "b, c (3 of 7 calls)"),
        (("b",), {"calls": 7, "calls_fused": 0}, "b (0 of 7 calls)"),
        (("b",), None, "b"),
    ],
)
def test_what_a_component_is_fused_with_stands_beside_the_part_of_its_calls_that_ran_so(
    fused: tuple[str, ...] | None, stats: dict[str, int] | None, text: str
) -> None:
    described = ComponentDescription(id="a", image_ref="file:///a", max_instances=1, fused=fused, stats=stats)
    assert fused_with(described) == text


def test_a_ping_of_some_links_counts_only_the_answers_of_those_who_have_part_in_them() -> None:
    report = PingReport(
        lattice="default",
        elapsed_ms=7,
        expected=("a", "b"),
        answered=("a", "c", "d"),
        silent=("b",),
        links=(),
    )
    console = Console(width=80)
    with console.capture() as said:
        console.print(ping(report))
    assert "1 of 2 participants answered" in said.get()
