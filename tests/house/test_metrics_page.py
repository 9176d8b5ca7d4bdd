"""docs/operating.md names every metric of calls, and every attribute that they are told apart by."""

from __future__ import annotations

import re
from pathlib import Path

from lath.telemetry import metrics

PAGE = (Path(__file__).parents[2] / "docs/operating.md").read_text(encoding="utf-8")
FIRST_CELLS = [row.split("|")[1] for row in PAGE.splitlines() if row.startswith("| `")]
NAMED = {name for cell in FIRST_CELLS for name in re.findall(r"`([^`]+)`", cell)}


def test_every_metric_of_calls_has_its_row() -> None:
    assert {metrics.CALLS, metrics.DURATION, metrics.ACTIVE} <= NAMED


def test_every_attribute_of_calls_has_its_row() -> None:
    told = {
        name for attributes in (metrics._CALL_ATTRIBUTES, metrics._ACTIVE_ATTRIBUTES) for name in attributes
    }
    assert told | {"rpc.system", "error.type", metrics.OVERFLOW} <= NAMED


def test_the_limit_is_that_of_the_code() -> None:
    assert f"past {metrics.CALL_KEYS_MAX:,} sets of attributes" in PAGE
