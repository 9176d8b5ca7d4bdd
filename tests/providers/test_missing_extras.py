"""A provider whose extra is not installed says in one line what to install, and ends."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from lath.bus import Bus
from lath.server import Server


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [("keyvalue_redis", "redis", "redis"), ("schedule", "cronsim", "schedule")],
)
async def test_a_provider_without_its_extra_names_it_in_one_line(
    bus: Bus, nats_server: Server, tmp_path: Path, module: str, missing: str, extra: str
) -> None:
    absent = f"raise ModuleNotFoundError(\"No module named '{missing}'\", name='{missing}')"
    (tmp_path / f"{missing}.py").write_text(absent)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"lath_providers.{module}",
        "--nats-url", nats_server.url, "--lattice", bus.lattice, "--id", "it",
        stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, said = await child.communicate()
    assert child.returncode == 1
    (line,) = said.decode().splitlines()
    assert f"pip install 'lath[{extra}]'" in line
    assert "Traceback" not in line and "frames" not in line
