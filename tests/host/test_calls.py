"""Calls into components: from a client, from components beside them, and across hosts."""

from __future__ import annotations

import guests

from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"


async def test_a_client_calls_a_component_over_the_bus(lattice_in_process: InProcessLattice) -> None:
    event = await lattice_in_process.start_component("echo", guests.echo(tag="e:"))
    assert event.name == "component_scaled", event.data
    assert await lattice_in_process.call("echo", ECHO, "say", "hello") == "e:hello"


async def test_a_component_calls_another_on_the_same_host_by_its_link(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo(tag="e:"))
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    assert await lattice.call("front", FRONT, "say", "hello") == "e:hello"


async def test_a_component_calls_another_on_another_host_by_its_link(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await lattice.start_component("echo", guests.echo(tag="e:"), host=other)
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    assert await lattice.call("front", FRONT, "say", "hello") == "e:hello"
