"""Measures what lath costs, or compares two commits: `make bench`, `make bench BASE=main`.

python -m bench [--full] [--rounds N] [--seconds S] [--output FILE] [RIG…]
python -m bench --base REF [RIG…]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.compare import Tree, checked_out, compare
from bench.goals import GOALS
from bench.load import run
from bench.machine import ROOT, commit
from bench.measurement import Rig, Settings
from bench.report import figures_json, show_figures, show_goals, show_verdicts, verdicts_json
from bench.rigs import COMPARED, RIGS
from bench.runner import declared, measure

QUICK, FULL = (3, 0.4), (7, 1.0)
"""Rounds, and seconds of a sample."""
INCARNATIONS_QUICK, INCARNATIONS_FULL = 3, 6
_COLUMNS = 260
"""Of a table that goes to a file: no line of it is folded."""


def _arguments() -> argparse.Namespace:
    names = [rig.name for rig in RIGS]
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures what lath costs.")
    parser.add_argument("rigs", nargs="*", metavar="RIG", help=f"of {', '.join(names)}; the usual by default")
    parser.add_argument("--base", metavar="REF", help="compare this tree with a commit")
    parser.add_argument("--full", action="store_true", help="more rounds, longer samples, and what is slow")
    parser.add_argument("--rounds", type=int, help="samples of each figure")
    parser.add_argument("--seconds", type=float, help="length of a sample")
    parser.add_argument(
        "--output", type=Path, help="the JSON; bench/results/{latest,compared}.json by default"
    )
    found = parser.parse_args()
    if unknown := sorted(set(found.rigs) - set(names)):
        parser.error(f"no rig is called {', '.join(unknown)}: there are {', '.join(names)}")
    if found.base and not commit(found.base):
        parser.error(f"{found.base} is no commit of this repository")
    return found


def _chosen(arguments: argparse.Namespace) -> Sequence[Rig]:
    if arguments.rigs:
        return [rig for rig in RIGS if rig.name in arguments.rigs]
    if arguments.base:
        return COMPARED
    return [rig for rig in RIGS if arguments.full or not rig.slow]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lath" / "bench"


def _write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\nwritten to {path}")


def _say() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda line: print(f"[{time.monotonic() - began:4.0f} s] {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Runs the command."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that worktree and processes go then, too
    arguments = _arguments()
    rigs = _chosen(arguments)
    rounds, seconds = FULL if arguments.full else QUICK
    results = ROOT / "bench" / "results"
    console = Console(width=None if sys.stdout.isatty() else _COLUMNS)
    with tempfile.TemporaryDirectory(prefix="lath-bench-") as folder:
        settings = Settings(
            rounds=arguments.rounds or rounds,
            seconds=arguments.seconds or seconds,
            full=arguments.full,
            peers=True,
            folder=Path(folder),
            compiled=_cache(),
        )
        if arguments.base:
            base = commit(arguments.base)
            incarnations = INCARNATIONS_FULL if arguments.full else INCARNATIONS_QUICK
            with checked_out(base, settings) as tree:
                now = Tree(ROOT, settings.compiled)
                compared = run(compare(rigs, tree, now, settings, incarnations, _say()))
            verdicts = compared.verdicts(rigs)
            show_verdicts(console, declared(rigs), verdicts, compared.notes)
            found = verdicts_json(base, declared(rigs), verdicts, compared.notes)
            _write(arguments.output or results / "compared.json", found)
        else:
            figures = run(measure(rigs, settings, _say()))
            names = {each.name for each in declared(rigs)}
            goals = [goal for goal in GOALS if goal.measured in names]
            show_figures(console, declared(rigs), figures)
            show_goals(console, goals, figures)
            found = figures_json(declared(rigs), goals, figures)
            _write(arguments.output or results / "latest.json", found)


if __name__ == "__main__":
    main()
