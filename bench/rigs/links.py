"""Links: from a put to active on three instances; pings of 50 instances, of one link, of 10,000 links.

Providers are real ones (the SDK, without a backend), each on a connection of its own, in other processes. A
ping's time is that of `LinkOps.ping`, reading KV included.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from bench.child import child
from bench.lattice import LATTICE
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from lath import subjects
from lath.bus import Bus, ensure_buckets
from lath.links import LinkStore
from lath.model import LinkSelector, LinkSpec, StoredLink
from lath.presence import PresenceView
from lath.server import Server
from lath.testing import eventually
from lath.verbs import LinkOps

_PUT_INSTANCES: Final = 3
_PUTS: Final = 50
_INSTANCES: Final = 50
_LINKS_EACH: Final = 20
_MANY: Final = 10_000
_PROCESSES: Final = 4
_READY_SECONDS: Final = 120.0
_MEASUREMENTS: Final = (
    Measurement("links.put.p50_ms", "ms", "lower", "from a put to active on three instances; of 50 puts"),
    Measurement("links.put.max_ms", "ms", "lower", "from a put to active on three instances; worst of 50"),
    Measurement("links.ping_all.ms", "ms", "lower", "ping of 50 instances with 20 links each"),
    Measurement("links.ping_one.ms", "ms", "lower", "ping of one link among those"),
    Measurement("links.ping_many.ms", "ms", "lower", "ping of one instance with 10,000 links"),
)
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where an operator sits: reads and writes links, and asks."""

    url: str
    bus: Bus
    presence: PresenceView
    store: LinkStore
    ops: LinkOps


@asynccontextmanager
async def _desk() -> AsyncIterator[_Desk]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server())
        bus = await stack.enter_async_context(await Bus.connect(server.url, lattice=LATTICE, name="desk"))
        await ensure_buckets(bus)
        presence = await stack.enter_async_context(PresenceView(bus))
        await presence.wait_synced()
        store = LinkStore(bus)
        ops = LinkOps(bus, presence, store)
        stack.push_async_callback(ops.close)
        yield _Desk(server.url, bus, presence, store, ops)


def _spec(target: str, name: str) -> LinkSpec:
    return LinkSpec(
        source_id=f"app-{target}", target=target, name=name, wit_namespace="wasi", wit_package="keyvalue",
        interfaces=("store",),
    )  # fmt: skip


async def _put_many(desk: _Desk, target: str, count: int) -> None:
    """Links of one provider, written without a round trip each."""
    first = await desk.store.put(_spec(target, "n0"))
    prefix = subjects.key_prefix("links", LATTICE)
    for index in range(1, count):
        value = StoredLink.model_validate({**first.model_dump(), "name": f"n{index}"})
        await desk.bus.publish(prefix + value.key, value.model_dump_json().encode())
    await desk.bus.flush()


async def _run(stack: AsyncExitStack, desk: _Desk, groups: Sequence[Sequence[str]]) -> None:
    """Providers, a process for each group."""
    await asyncio.gather(
        *(stack.enter_async_context(child("bench.idle_providers", desk.url, *ids)) for ids in groups)
    )


async def _live(desk: _Desk, selector: LinkSelector, links: int) -> None:
    async def all_live() -> bool:
        report = await desk.ops.ping(selector)
        return report.healthy and len(report.links) == links

    await eventually(all_live, _READY_SECONDS, what=f"{links} links")


def _put(desk: _Desk) -> Probe:
    async def probe() -> Values:
        took = []
        for _ in range(_PUTS):
            began = time.perf_counter()
            report = await desk.ops.await_applied(await desk.store.put(_spec("kv", f"n{next(_serial)}")))
            took.append((time.perf_counter() - began) * 1e3)
            if report.verdict != "live":
                raise RuntimeError(f"the link is {report.verdict}")
        took.sort()
        return {"links.put.p50_ms": took[len(took) // 2], "links.put.max_ms": took[-1]}

    return probe


def _ping(desk: _Desk, name: str, selector: LinkSelector) -> Probe:
    async def probe() -> Values:
        began = time.perf_counter()
        report = await desk.ops.ping(selector)
        spent = (time.perf_counter() - began) * 1e3
        if not report.healthy:
            raise RuntimeError("a ping found links that are not live")
        return {f"links.{name}.ms": spent}

    return probe


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:
        few, crowd, many = [await stack.enter_async_context(_desk()) for _ in range(3)]
        await _run(stack, few, [["kv"]] * _PUT_INSTANCES)
        await few.presence.wait_until(lambda: len(few.presence.instances("kv")) == _PUT_INSTANCES)
        ids = [f"p{index}" for index in range(_INSTANCES)]
        for provider_id in ids:
            await _put_many(crowd, provider_id, _LINKS_EACH)
        await _run(stack, crowd, [ids[part::_PROCESSES] for part in range(_PROCESSES)])
        await _live(crowd, LinkSelector(), _INSTANCES * _LINKS_EACH)
        await _put_many(many, "big", _MANY)
        await _run(stack, many, [["big"]])
        await _live(many, LinkSelector(participant="big"), _MANY)
        one = LinkSelector(target="p0", source_id="app-p0", name="n0")
        yield Opened(
            [
                _put(few),
                _ping(crowd, "ping_all", LinkSelector()),
                _ping(crowd, "ping_one", one),
                _ping(many, "ping_many", LinkSelector(participant="big")),
            ]
        )


LINKS = Rig("links", "putting links, and pinging them", _MEASUREMENTS, _open)
