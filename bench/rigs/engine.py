"""What the engine costs without a bus: a warm call, a fresh one, an import, an instance, larger values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from bench.guests import TEXT_ECHO, TEXT_RELAY, python_echo
from bench.in_process import give_back, open_pool
from bench.load import per_call_us
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from bench.peers import TEXT
from lath_host.engine import Engine
from lath_host.engine.linkage import CallContext, Import

_IMPORTS: Final = 50
_NUMBERS: Final = list(range(10_000))


def _us(name: str, what: str, of: str = "engine.text.warm_us") -> Measurement:
    return Measurement(f"engine.{name}_us", "us", "lower", what, of)


_MEASUREMENTS: Final = (
    _us("text.warm", "component text: a call, instances reused", ""),
    _us("text.fresh", "component text: a call, a fresh instance made for it"),
    _us("text.string_10_kb", "component text: a warm call with 10 kB of string both ways"),
    _us("text.numbers", "component text: a warm call with list<u32> of 10,000 both ways"),
    _us("text.import", "component text: one import, answered at once"),
    _us("text.import_later", "component text: one import, answered a turn of the loop later"),
    _us("python.warm", "Python: a call, instances reused"),
    _us("python.fresh", "Python: a call, a fresh instance made for it", "engine.python.warm_us"),
)
_FRESH_AT_LEAST: Final = 3


async def _later(wanted: Import, context: CallContext, params: list[Any]) -> Any:
    await asyncio.sleep(0)
    return await give_back(wanted, context, params)


def _probe(name: str, call: Callable[[], Awaitable[Any]], seconds: float, at_least: int = 1) -> Probe:
    async def probe() -> Values:
        return {f"engine.{name}_us": await per_call_us(call, seconds, at_least)}

    return probe


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    seconds = settings.seconds / 4
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine(cache_dir=settings.compiled / "compiled"))
        probes: list[Probe] = []
        sources = {"text": TEXT_ECHO.encode(), "python": (await python_echo()).read_bytes()}
        for language, source in sources.items():
            compiled = await engine.compile(source)
            warm = await open_pool(stack, engine, compiled, reuse=True)
            fresh = await open_pool(stack, engine, compiled, warm_instances=0)
            probes += [
                _probe(f"{language}.warm", partial(warm.echo, TEXT), seconds),
                _probe(f"{language}.fresh", partial(fresh.echo, TEXT), seconds, _FRESH_AT_LEAST),
            ]
            if language == "text":
                probes += [
                    _probe("text.string_10_kb", partial(warm.echo, "x" * 10_000), seconds),
                    _probe("text.numbers", partial(warm.echo, _NUMBERS, "numbers"), seconds),
                ]
        compiled = await engine.compile(TEXT_RELAY.encode())
        for name, on_import in (("text.import", give_back), ("text.import_later", _later)):
            pool = await open_pool(stack, engine, compiled, on_import=on_import, reuse=True)
            probes.append(_per_import(name, partial(pool.relay, TEXT), seconds))
        yield Opened(probes)


def _per_import(name: str, call: Callable[[int], Awaitable[Any]], seconds: float) -> Probe:
    """What one import adds to a call."""

    async def probe() -> Values:
        with_imports = await per_call_us(lambda: call(_IMPORTS), seconds)
        without = await per_call_us(lambda: call(0), seconds)
        return {f"engine.{name}_us": max(with_imports - without, 0.001) / _IMPORTS}

    return probe


ENGINE = Rig("engine", "the engine in one process, without a bus", _MEASUREMENTS, _open)
