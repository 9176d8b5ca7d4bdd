"""A component that serves HTTP on a host: it starts, and stands in the inventory."""

from __future__ import annotations

from http_components import HELLO

from lath_host.testing import InProcessLattice

HANDLER = "wasi:http/incoming-handler@0.2.0"


async def test_a_component_that_serves_http_starts_and_is_listed_by_it(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    event = await lattice.start_component("web", HELLO)
    assert event.name == "component_scaled"
    (told,) = lattice.hosts[0].inventory().components
    assert told.exports == (HANDLER,) and not told.imports


async def test_no_value_from_the_bus_passes_for_a_request(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("web", HELLO)
    for forged in (b"", 1, None):
        failure = await lattice.failure("web", HANDLER, "handle", forged, forged)
        assert failure.kind == "invalid_argument", failure
