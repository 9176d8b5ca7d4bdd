"""From import to return: a component calls another one across hosts, on its own host, and fused with it.

The caller loops inside the guest: a figure is (a call that makes N imports - a call that makes none) / N.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from bench.guests import ECHO, RELAY, TEXT_ECHO, TEXT_RELAY, text_file
from bench.lattice import Lattice, lattice, packed
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from bench.peers import TEXT
from lath.model import ComponentLimits
from lath.testing import eventually

_FUSE_SECONDS: Final = 30.0
_NEVER: Final = {"fuse": "never"} if "fuse" in ComponentLimits.model_fields else {}
_COUNT: Final = 4
_BATCH_SECONDS: Final = 0.2
"""A call of the caller lasts about so long; its time-out is 60 s."""


def _declared(case: str, what: str) -> Measurement:
    of = "" if case == "crosshost" else "import.crosshost.us"
    return Measurement(f"import.{case}.us", "us", "lower", f"one import, {what}", of)


_MEASUREMENTS: Final = (
    _declared("crosshost", "to a component on another host, instances reused"),
    _declared("colocated", "to a component on the same host, instances reused"),
    _declared("colocated_fresh", "to a component on the same host, a fresh callee per call"),
    _declared("fused", "to a component that is fused with its caller"),
)


class _Case:
    """One caller, and how many imports it makes in a call."""

    def __init__(self, on: Lattice, case: str) -> None:
        self._on = on
        self._case = case
        self._imports = 10

    async def _run_us(self, imports: int) -> float:
        began = time.perf_counter()
        await self._on.call(f"relay-{self._case}", RELAY, "run", packed(TEXT, imports))
        return (time.perf_counter() - began) * 1e6

    async def per_import_us(self) -> float:
        spent = await self._run_us(self._imports) - await self._run_us(0)
        return max(spent, 0.001) / self._imports

    async def tune(self) -> None:
        """Chooses the number of imports: enough of them to fill a batch."""
        while await self._run_us(self._imports) < _BATCH_SECONDS * 0.5e6:
            self._imports *= 2

    async def probe(self) -> Values:
        return {f"import.{self._case}.us": await self.per_import_us()}


async def _place(
    on: Lattice, case: str, callee_host: str, callee: dict[str, Any], both: dict[str, Any]
) -> None:
    relay = text_file(on.folder, "relay", TEXT_RELAY)
    echo = text_file(on.folder, "echo", TEXT_ECHO)
    await on.start(f"echo-{case}", echo, host=callee_host, count=_COUNT, **callee, **both)
    await on.start(f"relay-{case}", relay, host="a", count=_COUNT, reuse=True, timeout_ms=60_000, **both)
    await on.link(f"relay-{case}", f"echo-{case}", ECHO)


async def _fused(on: Lattice, case: str) -> str:
    """Why the pair is not fused; empty once it is."""
    if not _NEVER:
        return "no fusion in this version"
    why: Any = None

    async def joined() -> bool:
        nonlocal why
        for component in await on.client.components.where(f"relay-{case}"):
            why = getattr(component, "unfused", None)
            return bool(getattr(component, "fused", ()))
        return False

    try:
        await eventually(joined, _FUSE_SECONDS)
    except AssertionError:
        return f"not fused within {_FUSE_SECONDS:.0f} s: {why}"
    return ""


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    opened = Opened()
    async with lattice(settings, "a", "b") as on:
        reuse = {"reuse": True}
        await _place(on, "crosshost", "b", reuse, _NEVER)
        await _place(on, "colocated", "a", reuse, _NEVER)
        await _place(on, "colocated_fresh", "a", {"warm_instances": 32}, _NEVER)
        await _place(on, "fused", "a", reuse, {})
        cases = ["crosshost", "colocated", "colocated_fresh"]
        if why := await _fused(on, "fused"):
            opened.notes.append(f"fused: {why}")
        else:
            cases.append("fused")
        probes: list[Probe] = []
        for name in cases:
            case = _Case(on, name)
            await case.tune()
            probes.append(case.probe)
        opened.probes = probes
        yield opened


COLOCATED = Rig("colocated", "an import, across hosts, on one host, fused", _MEASUREMENTS, _open)
