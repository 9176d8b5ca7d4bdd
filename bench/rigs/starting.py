"""How long starting takes: a host, a component that was never compiled, one that was; and its parts.

`second_*` are from the request to the event that says it runs, on a host whose cache on disk has the compiled
component; the host keeps nothing of it in memory. The parts are measured in this process, one by one, on the
same files.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from wasmtime import component as stock

from bench.guests import TEXT_ECHO, never_seen, never_seen_binary, python_echo, text_file
from bench.lattice import Lattice, lattice
from bench.measurement import Measurement, Opened, Rig, Settings, Values
from lath_host.engine import Engine
from lath_host.engine.digests import digest_of, digest_of_file
from lath_host.engine.limits import Limits
from lath_host.engine.pool import InstancePool
from lath_host.engine.reflect import reflect

_PARTS: Final = {
    "read": "reading the file",
    "digest": "its digest",
    "load": "Engine.compile with the cache: digest, deserialize, description",
    "check": "the digest of the compiled file: only where it was written since it was hashed",
    "deserialize": "wasmtime mapping the compiled file",
    "reflect": "reading the component's types through the C API: not where their description is kept",
    "instantiate": "a pool with its first instance",
}


def _ms(name: str, what: str, of: str = "") -> Measurement:
    return Measurement(f"start.{name}.ms", "ms", "lower", what, of)


_MEASUREMENTS: Final = (
    _ms("host", "from the process to its presence"),
    _ms("cold_text", "a small component, never compiled before"),
    _ms("second_text", "a small component, compiled before"),
    _ms("second_python", "an 18 MB component (Python), compiled before"),
    *(_ms(f"part_{part}", f"of an 18 MB component: {what}") for part, what in _PARTS.items()),
)
_COLD_PYTHON: Final = _ms("cold_python", "an 18 MB component (Python), never compiled before")


async def _start_ms(on: Lattice, component_id: str, file: Path, host: str = "a") -> float:
    began = time.perf_counter()
    await on.start(component_id, file, host=host)
    spent = (time.perf_counter() - began) * 1e3
    await on.stop(component_id)
    return spent


class _Parts:
    """The parts of a second start, each on its own."""

    def __init__(self, engine: Engine, file: Path, compiled: Path) -> None:
        self._engine = engine
        self._file = file
        self._compiled = compiled

    async def sample(self) -> dict[str, float]:
        found: dict[str, float] = {}

        async def timed(part: str, work: Callable[[], Any]) -> Any:
            began = time.perf_counter()
            result = await asyncio.to_thread(work)
            found[f"start.part_{part}.ms"] = (time.perf_counter() - began) * 1e3
            return result

        source = await timed("read", self._file.read_bytes)
        digest = await timed("digest", lambda: digest_of(source))
        began = time.perf_counter()
        compiled = await self._engine.compile(source)
        found["start.part_load.ms"] = (time.perf_counter() - began) * 1e3
        path = max(self._compiled.rglob(f"{digest}*.cwasm"), key=lambda each: each.stat().st_mtime)
        wasm = compiled.wasm(metered=False)
        await timed("check", lambda: digest_of_file(path))
        component = await timed("deserialize", lambda: stock.Component.deserialize_file(wasm, str(path)))
        await timed("reflect", lambda: reflect(component, wasm))
        began = time.perf_counter()
        async with InstancePool(self._engine, compiled, Limits(reuse=True), _nobody, name="started") as pool:
            await pool.start()
            found["start.part_instantiate.ms"] = (time.perf_counter() - began) * 1e3
        return found


async def _nobody(*_: Any) -> Any:
    raise AssertionError("the echo imports nothing but WASI")


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    python = await python_echo()
    async with lattice(settings, "a") as on, Engine(cache_dir=settings.compiled / "compiled") as engine:
        await _start_ms(on, "python", python)  # so that the cache has it
        text = text_file(on.folder, "echo", TEXT_ECHO)
        await _start_ms(on, "text", text)
        await on.add_host("cold", compiled=on.folder / "cold")  # so that these do not fill the kept cache
        parts = _Parts(engine, python, settings.compiled)

        async def host() -> Values:
            seconds = await on.add_host("another")
            await on.end_host("another")
            return {"start.host.ms": seconds * 1e3}

        async def cold() -> Values:
            new = text_file(on.folder, "new", never_seen(TEXT_ECHO))
            return {"start.cold_text.ms": await _start_ms(on, "cold", new, "cold")}

        async def second() -> Values:
            return {
                "start.second_text.ms": await _start_ms(on, "text", text),
                "start.second_python.ms": await _start_ms(on, "python", python),
            }

        yield Opened([host, cold, second, parts.sample])


@asynccontextmanager
async def _open_cold(settings: Settings) -> AsyncIterator[Opened]:
    source = (await python_echo()).read_bytes()
    async with lattice(settings) as on:
        await on.add_host("cold", compiled=on.folder / "cold")

        async def probe() -> Values:
            file = on.folder / "new.wasm"
            file.write_bytes(never_seen_binary(source))
            return {"start.cold_python.ms": await _start_ms(on, "cold", file, "cold")}

        yield Opened([probe])


STARTING = Rig("starting", "starting hosts and components", _MEASUREMENTS, _open)
COLD = Rig(
    "cold", "starting an interpreter that was never compiled", (_COLD_PYTHON,), _open_cold, 2, slow=True
)
