"""Two trees, measured in turn: this one, and a commit checked out beside it.

The bench is this tree's on both sides; which `lath` it measures is a matter of PYTHONPATH. For each rig two
workers stand at the same time and sample in turn, A B, then B A, so that both see the same moments of the
machine; then both are started anew, several times.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from bench.child import Child, child
from bench.decide import Verdict, decide
from bench.machine import ROOT
from bench.measurement import Rig, Settings
from bench.runner import rounds_of

_PACKAGES: Final = ("lattice", "host", "providers", "control")


@dataclass(frozen=True, slots=True)
class Tree:
    """One side of a comparison.

    Attributes:
        path: The checkout.
        compiled: Where its hosts keep compiled components: not shared, for what a version makes of a
            component is part of what is compared.
    """

    path: Path
    compiled: Path

    @property
    def env(self) -> dict[str, str]:
        """What makes a worker measure this tree."""
        return {"PYTHONPATH": os.pathsep.join(str(self.path / package) for package in _PACKAGES)}


@dataclass(slots=True)
class Comparison:
    """What a comparison found.

    Attributes:
        pairs: By measurement, by incarnation: (base, now) of each round.
        notes: What could not be compared, and why.
    """

    pairs: dict[str, list[list[tuple[float, float]]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def verdicts(self, rigs: Sequence[Rig]) -> Mapping[str, Verdict]:
        """By measurement."""
        declared = {each.name: each for rig in rigs for each in rig.measurements}
        return {name: decide(declared[name], pairs) for name, pairs in self.pairs.items()}


@contextmanager
def checked_out(commit: str, settings: Settings) -> Iterator[Tree]:
    """A commit in a worktree of its own, which goes at the end."""
    path = settings.folder / "base"
    git = ["git", "-C", str(ROOT)]
    subprocess.run([*git, "worktree", "prune"], check=True)
    subprocess.run([*git, "worktree", "add", "--detach", "--quiet", str(path), commit], check=True)
    try:
        yield Tree(path, settings.folder / "compiled")
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", str(path)], check=True)


async def compare(
    rigs: Sequence[Rig],
    base: Tree,
    now: Tree,
    settings: Settings,
    incarnations: int,
    say: Callable[[str], None],
) -> Comparison:
    """Measures rigs on both trees.

    Args:
        rigs: Which.
        base: The tree to compare with.
        now: The tree in question.
        settings: How, but for where compiled components are kept.
        incarnations: How often the processes are started anew.
        say: Told of progress, a line each.
    """
    found = Comparison()
    for rig in rigs:
        for incarnation in range(incarnations):
            say(f"{rig.name}: {rig.what} ({incarnation + 1} of {incarnations})")
            try:
                await _incarnation(rig, (base, now), settings, incarnation, found)
            except RuntimeError as error:
                found.notes.append(f"{rig.name}: {error}; see above")
                break
    return found


async def _incarnation(
    rig: Rig, trees: tuple[Tree, Tree], settings: Settings, incarnation: int, found: Comparison
) -> None:
    async with AsyncExitStack() as stack:
        workers: list[Child] = []
        for tree in trees:
            chosen = replace(settings, peers=False, compiled=tree.compiled)
            env = tree.env | {"PYTHONHASHSEED": str(incarnation)}
            text = json.dumps(asdict(chosen), default=str)
            workers.append(await stack.enter_async_context(child("bench.worker", rig.name, text, env=env)))
        gathered: dict[str, list[tuple[float, float]]] = {}
        for number in range(rounds_of(rig, settings)):
            answers = await _both(rig, workers, base_first=(number + incarnation) % 2 == 0)
            samples = answers[0]["sample"], answers[1]["sample"]
            for name in samples[0].keys() & samples[1].keys():
                gathered.setdefault(name, []).append((samples[0][name], samples[1][name]))
            for side, which in enumerate(("base", "now")):
                found.notes += _new_notes(found, rig, which, answers[side]["notes"])
                missing = samples[1 - side].keys() - samples[side].keys()
                found.notes += _new_notes(found, rig, which, [f"no {name}" for name in sorted(missing)])
        for name, pairs in gathered.items():
            found.pairs.setdefault(name, []).append(pairs)


async def _both(rig: Rig, workers: Sequence[Child], *, base_first: bool) -> list[dict[str, Any]]:
    """A sample of each: base, now."""
    if rig.undisturbed:
        return await asyncio.gather(*(worker.ask({}) for worker in workers))
    answers: list[dict[str, Any]] = [{}, {}]
    for side in (0, 1) if base_first else (1, 0):
        answers[side] = await workers[side].ask({})
    return answers


def _new_notes(found: Comparison, rig: Rig, which: str, notes: Sequence[str]) -> list[str]:
    return [text for note in notes if (text := f"{rig.name}, {which}: {note}") not in found.notes]
