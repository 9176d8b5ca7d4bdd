"""Memory: an idle host, and what each idle instance adds.

The host's is its resident set. An instance's is the growth of the proportional set over many instances: pages
of its image that all of them map are there once.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.guests import TEXT_ECHO, python_echo, text_file
from bench.lattice import Lattice, lattice
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from lath.testing import eventually

_INSTANCES: Final = {"text": 200, "python": 20}
_MEMORY_BYTES_MAX: Final = {"text": 16 << 20, "python": 256 << 20}
"""What an instance may have, which is what the host's budget of idle instances counts."""
_WARM_SECONDS: Final = 120.0
_MEASUREMENTS: Final = (
    Measurement("footprint.host.rss_mib", "MiB", "lower", "an idle host, resident"),
    Measurement("footprint.text.instance_mib", "MiB", "lower", "each idle instance, component text"),
    Measurement("footprint.python.instance_mib", "MiB", "lower", "each idle instance, Python"),
)
_serial = itertools.count()


def _memory_mib(pid: int, field: str) -> float:
    """A figure of a process: "Rss" or "Pss"."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no {field}")


def _probe(on: Lattice, language: str, file: Path) -> Probe:
    async def warm(component_id: str, count: int) -> float:
        await on.start(
            component_id, file, host="a", count=count, warm_instances=count,
            memory_bytes_max=_MEMORY_BYTES_MAX[language],
        )  # fmt: skip

        async def idle() -> bool:
            found = await on.client.components.where(component_id)
            return (found[0].stats or {}).get("idle") == count

        await eventually(idle, _WARM_SECONDS, what=f"{count} warm instances of {component_id}")
        return _memory_mib(on.pid("a"), "Pss")

    async def probe() -> Values:
        first, rest = f"one-{next(_serial)}", f"many-{next(_serial)}"
        before = await warm(first, 1)
        after = await warm(rest, 1 + _INSTANCES[language])
        for component_id in (first, rest):
            await on.stop(component_id)
        return {f"footprint.{language}.instance_mib": (after - before) / _INSTANCES[language]}

    return probe


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    python = await python_echo()
    async with lattice(settings, "a") as on:

        async def idle_host() -> Values:
            name = f"idle-{next(_serial)}"
            await on.add_host(name)
            found = _memory_mib(on.pid(name), "Rss")
            await on.end_host(name)
            return {"footprint.host.rss_mib": found}

        text = text_file(on.folder, "echo", TEXT_ECHO)
        yield Opened([idle_host, _probe(on, "text", text), _probe(on, "python", python)])


FOOTPRINT = Rig("footprint", "memory of hosts and instances", _MEASUREMENTS, _open, rounds_max=3)
