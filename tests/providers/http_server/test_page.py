"""docs/http-server.md names every setting, with its default."""

from __future__ import annotations

from pathlib import Path

import pytest

from lath_providers.http_server import HttpServerConfig

PAGE = (Path(__file__).parents[3] / "docs/http-server.md").read_text(encoding="utf-8")
LINES = [line for line in PAGE.splitlines() if line.startswith("| `")]
CELLS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES]
ROWS = {cells[0].strip("`"): cells[1] for cells in CELLS}


@pytest.mark.parametrize("name", HttpServerConfig.model_fields)
def test_every_setting_has_its_row_with_its_default(name: str) -> None:
    told = ROWS[name].strip("`").replace(",", "")
    assert HttpServerConfig() == HttpServerConfig.model_validate({name: told} if told else {})


def test_no_setting_is_told_that_is_not_there() -> None:
    assert set(ROWS) == set(HttpServerConfig.model_fields)
