"""Components of WASI 0.3 on a host: called over the bus, or refused when they are started."""

from __future__ import annotations

import pytest
from async_components import GREETER, exporting

from lath_host.testing import InProcessLattice


async def test_an_async_export_is_called_over_the_bus(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    assert (await lattice.start_component("greeter", GREETER)).name == "component_scaled"
    assert await lattice.call("greeter", "test:later/greet@1.0.0", "hello", "Ada") == "Ada"


@pytest.mark.parametrize("kind", ["stream", "future"])
async def test_what_cannot_be_carried_is_told_when_a_component_is_started(
    lattice_in_process: InProcessLattice, kind: str
) -> None:
    event = await lattice_in_process.start_component("giver", exporting(kind))
    assert event.name == "component_scale_failed"
    assert f"export world give cannot be called: its signature has a {kind}" in event.data["error"]
    assert lattice_in_process.hosts[0].inventory().components == ()
