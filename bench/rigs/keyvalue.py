"""A get of wasi:keyvalue from Redis by a component: its provider built into the host, and across the bus.

The loop is inside the guest: so many instances as are to be in flight, each with one get at a time, and the
figure is gets over the time from the first call of the loop to the last return. redis-py's asyncio client, in
a process of its own, has as many gets in flight. All of them read the same key of the same server.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import redis.asyncio

from bench.child import Child, child
from bench.guests import text_file
from bench.guests.keyvalue_text import GETS, KEY, STORE, TEXT_GETS
from bench.lattice import Lattice, lattice, packed
from bench.machine import cpu_seconds
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from lath.model import LinkSpec
from lath.testing import eventually

_VALUE: Final = bytes(100)
_IN_FLIGHT: Final = {"": 32, "alone_": 1}
_PEER: Final = "redis_py"
_CASES: Final = {
    _PEER: "redis-py's asyncio client, no lattice",
    "builtin": "from a component, the provider built into its host",
    "bus": "from a component, the provider in a process of its own",
}
_REFS: Final = {"builtin": "builtin:keyvalue-redis", "bus": "python:lath_providers.keyvalue_redis"}
_WAIT_MS: Final = 60_000


def _declare() -> tuple[Measurement, ...]:
    found = []
    for prefix, in_flight in _IN_FLIGHT.items():
        for case, what in _CASES.items():
            name = f"keyvalue.{case}.{prefix}gets_per_s"
            of = "" if case == _PEER else f"keyvalue.{_PEER}.{prefix}gets_per_s"
            found.append(Measurement(name, "calls/s", "higher", f"{in_flight} in flight: {what}", of))
    for case in (_PEER, "builtin"):
        of = "" if case == _PEER else f"keyvalue.{_PEER}.cpu_us"
        what = f"processor time of the process per get, {_IN_FLIGHT['']} in flight: {_CASES[case]}"
        found.append(Measurement(f"keyvalue.{case}.cpu_us", "us", "lower", what, of))
    return tuple(found)


class _Case:
    """One way from a component to Redis."""

    def __init__(self, on: Lattice, case: str, seconds: float) -> None:
        self._on = on
        self._case = case
        self._seconds = seconds
        self._count = dict.fromkeys(_IN_FLIGHT, 50)

    async def _gets_per_s(self, prefix: str) -> float:
        """Each guest makes as many gets as fill the sample, going by the one before."""
        in_flight, count = _IN_FLIGHT[prefix], self._count[prefix]
        began = time.perf_counter()
        params = packed(count)
        calls = (self._on.call(f"gets-{self._case}", GETS, "run", params) for _ in range(in_flight))
        if set(await asyncio.gather(*calls)) != {packed(count)[1:]}:
            raise RuntimeError("the key is not there")
        rate = in_flight * count / (time.perf_counter() - began)
        self._count[prefix] = max(10, round(rate * self._seconds / in_flight))
        return rate

    async def tune(self) -> None:
        """Finds how many gets fill a sample."""
        for prefix in _IN_FLIGHT:
            await self._gets_per_s(prefix)

    async def probe(self) -> Values:
        name = f"keyvalue.{self._case}"
        pid = self._on.pid("a")
        gets, before = _IN_FLIGHT[""] * self._count[""], cpu_seconds(pid)
        found = {f"{name}.gets_per_s": await self._gets_per_s("")}
        if self._case == "builtin":  # else another process has its share of a get
            found[f"{name}.cpu_us"] = (cpu_seconds(pid) - before) / gets * 1e6
        found[f"{name}.alone_gets_per_s"] = await self._gets_per_s("alone_")
        return found


def _peer(peer: Child, seconds: float) -> Probe:
    async def probe() -> Values:
        found = {}
        for prefix, in_flight in _IN_FLIGHT.items():
            before = cpu_seconds(peer.pid)
            told = await peer.ask({"in_flight": in_flight, "seconds": seconds})
            found[f"keyvalue.{_PEER}.{prefix}gets_per_s"] = told["calls_per_s"]
            if not prefix:
                gets = told["calls_per_s"] * seconds
                found[f"keyvalue.{_PEER}.cpu_us"] = (cpu_seconds(peer.pid) - before) / gets * 1e6
        return found

    return probe


@asynccontextmanager
async def _redis(folder: Path) -> AsyncIterator[int]:
    """A server that keeps nothing on disk, with the key; its port."""
    port = random.randrange(20_000, 32_000)
    process = await asyncio.create_subprocess_exec(
        "redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "",
        stdin=DEVNULL, stdout=DEVNULL,
    )  # fmt: skip
    try:
        async with redis.asyncio.Redis(port=port) as client:

            async def there() -> bool:
                try:
                    return bool(await client.set(KEY, _VALUE))
                except redis.RedisError:
                    return False

            await eventually(there)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _place(on: Lattice, case: str, url: str) -> None:
    await on.client.providers.start(_REFS[case], provider_id=case, host="a", wait_ms=_WAIT_MS)
    component = f"gets-{case}"
    await on.start(
        component, text_file(on.folder, "gets", TEXT_GETS), host="a", count=max(_IN_FLIGHT.values()),
        reuse=True, timeout_ms=_WAIT_MS,
    )  # fmt: skip
    spec = LinkSpec(
        source_id=component, target=case, wit_namespace=STORE.namespace, wit_package=STORE.package,
        interfaces=(STORE.interface,), target_config=("redis",),
    )  # fmt: skip
    await on.client.configs.put("redis", {"url": url, "prefix": ""})
    report = await on.client.links.put_and_wait(spec, wait_ms=_WAIT_MS)
    if report.verdict != "live":
        raise RuntimeError(f"the link to {case} is {report.verdict}")


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    opened = Opened()
    if shutil.which("redis-server") is None:
        opened.notes.append("keyvalue: there is no redis-server here")
        yield opened
        return
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(_redis(settings.folder))
        if settings.peers:
            arguments = (str(port), KEY, str(max(_IN_FLIGHT.values())))
            peer = await stack.enter_async_context(child("bench.peers.redis_py", *arguments))
            opened.probes.append(_peer(peer, settings.seconds))
        on = await stack.enter_async_context(lattice(settings, "a"))
        for name in _REFS:
            await _place(on, name, f"redis://127.0.0.1:{port}")
            case = _Case(on, name, settings.seconds)
            await case.tune()
            opened.probes.append(case.probe)
        yield opened


KEYVALUE = Rig("keyvalue", "a get from Redis by a component, beside redis-py", _declare(), _open)
