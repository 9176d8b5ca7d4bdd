"""docs/engine.md names every limit, with the value that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lath.model import ComponentLimits
from lath_host.artifacts import ARTIFACT_BYTES_MAX
from lath_host.engine.allocation import INSTANCES_MAX
from lath_host.engine.budget import OVERCOMMIT, WARM_INSTANCES_MAX
from lath_host.engine.cgi.reply import FIELDS_MAX, HEAD_BYTES_MAX
from lath_host.engine.handles import HANDLES_MAX
from lath_host.engine.limits import Limits
from lath_host.engine.sockets.guest_sockets import GUEST_SOCKETS_MAX
from lath_host.engine.sockets.network import HOST_SOCKETS_MAX
from lath_host.engine.values import KEPT_BYTES_MAX
from lath_host.engine.wasi.output import LINE_BYTES_MAX

PAGE = (Path(__file__).parents[2] / "docs/engine.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells[1:]
    for cells in (
        [cell.strip() for cell in row.strip("|").split("|")] for row in PAGE.splitlines() if "|" in row
    )
}


@pytest.mark.parametrize("limit", ["max_instances", *ComponentLimits.model_fields])
def test_every_limit_of_a_component_has_its_row(limit: str) -> None:
    assert limit in ROWS, f"docs/engine.md has no row for the limit {limit}"


@pytest.mark.parametrize("limit", ["queue_max", "memory_bytes_max", "warm_instances", "cpu_weight"])
def test_the_default_of_a_limit_is_the_engines(limit: str) -> None:
    default = ROWS[limit][1]
    number = int(re.sub(r"[^0-9].*", "", default.replace(",", "")))
    assert number << (20 if "MiB" in default else 0) == getattr(Limits(), limit)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("instances at once, of all components", f"{INSTANCES_MAX:,}"),
        ("instances that wait for calls", f"{WARM_INSTANCES_MAX:,}"),
        ("their `memory_bytes_max` together", f"{OVERCOMMIT} × the machine's memory"),
        ("a component's file", f"{ARTIFACT_BYTES_MAX >> 20} MiB"),
        ("handles that one guest holds, or gives out", f"{HANDLES_MAX:,}"),
        ("headers and open bodies that are kept for one guest", f"{KEPT_BYTES_MAX >> 20} MiB"),
        ("sockets that one guest has open", f"{GUEST_SOCKETS_MAX}"),
        ("sockets that all guests have open", f"{HOST_SOCKETS_MAX:,}, and half of the open files"),
        ("the header of a CGI program's reply", f"{HEAD_BYTES_MAX >> 10} KiB, {FIELDS_MAX} fields"),
        ("a line of output", f"{LINE_BYTES_MAX:,} bytes"),
    ],
)
def test_a_limit_of_a_host_has_the_value_of_the_code(row: str, value: str) -> None:
    assert ROWS[row][0] == value
