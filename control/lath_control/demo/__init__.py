"""`lath demo`."""

from __future__ import annotations

from pathlib import Path

from lath_control.cli.output import Output


async def run_demo(out: Output, *, examples: Path | None, keep: bool) -> bool:
    return False
