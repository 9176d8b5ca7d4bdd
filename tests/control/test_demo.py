"""The demo, whole, as a person starts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from lath_command import BUILT, run


@pytest.mark.xdist_group("slow")
@pytest.mark.timeout(300)
async def test_every_step_of_the_demo_is_as_expected() -> None:
    ran = await run("demo", "-o", "json", env={"LATH_HOME": str(BUILT)}, timeout_s=240)
    assert ran.code == 0, (ran.json, ran.err)
    assert len(ran.json) == 12
    assert [step for step in ran.json if not step["ok"]] == []
    folder = Path(ran.err.split()[1].rstrip(","))
    assert folder.name.startswith("lath-demo-") and folder not in tuple(folder.parent.iterdir())


async def test_without_its_examples_the_demo_says_where_they_are_looked_for(tmp_path: Path) -> None:
    ran = await run("demo", "--examples", str(tmp_path))
    assert ran.code == 1
    assert str(tmp_path) in ran.err and "--examples" in ran.err
