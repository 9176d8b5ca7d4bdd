"""The example component in JavaScript, built by its usual tool, where that is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from lath_command import EXAMPLES

EXAMPLE: Final = EXAMPLES / "hello-js"
_BUILD_SECONDS: Final = 120


def componentize_js() -> str | None:
    """The tool: on PATH, or where `npm install` in the example's folder puts it."""
    return shutil.which("componentize-js") or shutil.which(
        "componentize-js", path=str(EXAMPLE / "node_modules/.bin")
    )


def why_no_javascript() -> str:
    """Why there can be no component in JavaScript here; empty where there can."""
    if shutil.which("node") is None:
        return "no node on PATH"
    if componentize_js() is None:
        return "no componentize-js: run `npm install` in examples/hello-js, or put the tool on PATH"
    return ""


def build_javascript_example(output: Path) -> None:
    """Builds it as the example's package.json does, to another place."""
    tool = componentize_js()
    assert tool is not None, why_no_javascript()
    built = subprocess.run(
        [tool, "app.js", "--wit", "wit", "--world-name", "hello", "--out", str(output)],
        cwd=EXAMPLE, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
