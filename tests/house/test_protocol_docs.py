"""docs/protocol says what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_protocol_pages_equal_what_the_code_generates() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs/protocol/generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\nrun: python docs/protocol/generate.py"
