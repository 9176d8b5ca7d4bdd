"""The bus goes away and comes back, with what it held or without: hosts go on, and lose nothing."""

from __future__ import annotations

import asyncio

import guests
import pytest

from lath.errors import Trap
from lath.names import InterfaceName
from lath.testing import eventually
from lath_host.components.local import LocalCall
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"


async def connected(lattice: InProcessLattice) -> None:
    """Waits until the client, the hosts and their mirrors are back."""
    await eventually(
        lambda: lattice.bus.connected and all(host.services.bus.connected for host in lattice.hosts), 20
    )
    await eventually(lambda: len(lattice.presence.hosts()) == len(lattice.hosts), 20)


async def calls(lattice: InProcessLattice) -> bool:
    return bool(await lattice.call("front", FRONT, "say", "x") == "e:x")


async def two_hosts(lattice: InProcessLattice) -> None:
    (other,) = await lattice.add_hosts(1)
    await lattice.start_component("echo", guests.echo(tag="e:"), host=other)
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    assert await calls(lattice)


async def test_losing_the_bus_for_a_while_stops_nothing(lattice_in_process: InProcessLattice) -> None:
    """Weakness 14: losing the bus looked like every host dying, so everything was deleted."""
    lattice = lattice_in_process
    await two_hosts(lattice)
    before = [host.inventory().components[0].instance_id for host in lattice.hosts]
    await lattice.server.restart(keep_store=True)
    await connected(lattice)
    assert [host.inventory().components[0].instance_id for host in lattice.hosts] == before
    await eventually(lambda: calls(lattice))
    assert [len(host.services.incarnations) for host in lattice.hosts] == [1, 1]
    assert [link["source_id"] for link in (await lattice.ask("link", "get")).response] == ["front"]


async def test_a_bus_that_comes_back_empty_gets_its_buckets_again_and_hosts_say_that_state_was_lost(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await two_hosts(lattice)
    await lattice.server.restart(keep_store=False)
    await connected(lattice)
    await eventually(lambda: all(len(host.services.incarnations) == 2 for host in lattice.hosts), 20)
    reply = await lattice.ask("host", "get", lattice.hosts[0].id)
    assert len(reply.response["incarnations"]) == 2
    for host in lattice.hosts:
        routes = host.services.routes
        await eventually(lambda routes=routes: routes._view.synced and not routes._view.links)
    assert "link_not_found" in (await lattice.failure("front", FRONT, "say", "x")).message
    link = await lattice.link("front", "echo", ECHO)
    assert link.revision.incarnation == reply.response["incarnations"][1]
    await eventually(lambda: calls(lattice))
    await eventually(lambda: len(lattice.presence.instances("echo")) == 1)


async def test_a_guests_call_while_the_bus_is_away_fails_at_once_and_never_runs_later(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await two_hosts(lattice)
    await lattice.link("driver", "front", FRONT)
    first, other = lattice.hosts
    ran = (other.inventory().components[0].stats or {})["calls"]
    await lattice.server.stop()
    await eventually(lambda: not first.services.bus.connected)
    call = LocalCall(
        source="driver",
        link_name="default",
        interface=InterfaceName.parse(FRONT),
        function="say",
        params=["late"],
        deadline=asyncio.get_running_loop().time() + 60,
    )
    for _ in range(10):
        with pytest.raises(Trap, match="not_connected"):
            await first.services.components.get("front").call_local(call)
    await lattice.server.start()
    await connected(lattice)
    await eventually(lambda: calls(lattice))
    assert (other.inventory().components[0].stats or {})["calls"] == ran + 1


async def test_components_on_one_host_call_each_other_without_the_bus(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo(tag="e:"))
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    await lattice.link("driver", "front", FRONT)
    host = lattice.hosts[0]
    await lattice.server.stop()
    await eventually(lambda: not host.services.bus.connected)
    call = LocalCall(
        source="driver",
        link_name="default",
        interface=InterfaceName.parse(FRONT),
        function="say",
        params=["here"],
        deadline=asyncio.get_running_loop().time() + 60,
    )
    assert await host.services.components.get("front").call_local(call) == "e:here"
    await lattice.server.start()


async def test_a_host_that_stops_while_the_bus_is_away_ends_all_the_same(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await two_hosts(lattice)
    await lattice.server.stop()
    await eventually(lambda: not any(host.services.bus.connected for host in lattice.hosts))
    async with asyncio.timeout(20):
        for host in lattice.hosts:
            await host.stop()
