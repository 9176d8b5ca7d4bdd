"""Repair: links follow their configs also where the writer of a config died half way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from lath import subjects
from lath.bus import BucketKeeper, BucketStore, Bus
from lath.config import ConfigStore
from lath.links import LinkStore, LinkView, Repair
from lath.mirror import Mirror
from lath.model import LinkSpec
from lath.server import Server
from lath.testing import eventually


def spec(source: str, *configs: str) -> LinkSpec:
    return LinkSpec(
        source_id=source,
        target="kv",
        wit_namespace="wasi",
        wit_package="keyvalue",
        interfaces=("store",),
        target_config=configs,
    )


@asynccontextmanager
async def repairing(server: Server, lattice: str) -> AsyncIterator[tuple[Repair, LinkView]]:
    """What a host runs."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(await Bus.connect(server.url, lattice=lattice, name="host"))
        links = await stack.enter_async_context(Mirror(bus, "links"))
        configs = await stack.enter_async_context(Mirror(bus, "config"))
        view = LinkView(links)
        repair = await stack.enter_async_context(Repair(bus, view, configs, grace_ms=50, jitter_ms=100))
        yield repair, view


async def put_half_way(bus: Bus, name: str, values: dict[str, str]) -> None:
    """Writes a config as a writer does that dies before it stores the links again."""
    await BucketStore(bus, "config").put(name, json.dumps(values).encode())


async def test_a_host_does_what_the_writer_of_a_config_left_undone(
    bus: Bus, nats_server: Server, lattice: str
) -> None:
    await ConfigStore(bus).put("c", {"url": "one"})
    links = [await LinkStore(bus).put(spec(f"app{i}", "c")) for i in range(20)]
    untouched = await LinkStore(bus).put(spec("plain"))
    async with repairing(nats_server, lattice) as (repair, view):
        await eventually(lambda: len(view.links) == 21)
        await put_half_way(bus, "c", {"url": "two"})
        await eventually(
            lambda: all(view.links[link.key].target_config_values == {"url": "two"} for link in links)
        )
        assert repair.repaired == 20
        assert view.links[untouched.key] == untouched


async def test_a_change_made_while_no_host_ran_is_repaired_at_its_start(
    bus: Bus, nats_server: Server, lattice: str
) -> None:
    await ConfigStore(bus).put("c", {"url": "one"})
    link = await LinkStore(bus).put(spec("app", "c"))
    await put_half_way(bus, "c", {"url": "two"})
    async with repairing(nats_server, lattice) as (_, view):
        await eventually(lambda: link.key in view.links)
        await eventually(lambda: view.links[link.key].target_config_values == {"url": "two"})


async def test_several_hosts_repair_each_link_about_once_and_come_to_rest(
    bus: Bus, nats_server: Server, lattice: str
) -> None:
    await ConfigStore(bus).put("c", {"url": "one"})
    links = [await LinkStore(bus).put(spec(f"app{i}", "c")) for i in range(30)]
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(repairing(nats_server, lattice)) for _ in range(4)]
        for _, view in hosts:
            await eventually(lambda view=view: len(view.links) == 30)  # type: ignore[misc]
        await put_half_way(bus, "c", {"url": "two"})
        for _, view in hosts:
            await eventually(
                lambda view=view: all(  # type: ignore[misc]
                    view.links[link.key].target_config_values == {"url": "two"} for link in links
                )
            )
        # A mirror may hear of a link before whoever stored it hears that it has.
        await eventually(lambda: sum(repair.repaired for repair, _ in hosts) == 30)
        state = await BucketStore(bus, "links").last(">")
        assert state is not None and state.sequence == 60


async def test_the_writer_and_the_hosts_do_not_fight(bus: Bus, nats_server: Server, lattice: str) -> None:
    await ConfigStore(bus).put("c", {"n": "0"})
    link = await LinkStore(bus).put(spec("app", "c"))
    async with repairing(nats_server, lattice) as (_, one), repairing(nats_server, lattice) as (_, two):
        for n in range(1, 20):
            await ConfigStore(bus).put("c", {"n": str(n)})
        for view in (one, two):
            await eventually(
                lambda view=view: (
                    link.key in view.links  # type: ignore[misc]
                    and view.links[link.key].target_config_values == {"n": "19"}
                )
            )


async def test_a_lost_store_is_made_again_and_told(bus: Bus, nats_server: Server, lattice: str) -> None:
    lost: list[subjects.BucketKind] = []
    async with BucketKeeper(bus, on_state_lost=lost.extend) as keeper:
        first = keeper.incarnations["links"]
        await nats_server.restart()
        await eventually(lambda: bus.connected)
        await nats_server.restart(keep_store=False)
        await eventually(lambda: set(lost) == {"links", "config", "secrets", "apps"})
        assert keeper.history[0] == first
        assert len(keeper.history) == 2
        async with asyncio.timeout(10):
            link = await LinkStore(bus).put(spec("app"))
        assert link.revision.incarnation == keeper.incarnations["links"] > first
