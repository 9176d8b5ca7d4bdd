"""WebAssembly proposals by flag: hosts of one lattice may differ, and say so."""

from __future__ import annotations

import os
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import Awaitable, Callable

from lath.model import HostInventory, parse
from lath_host.testing import HostProcess, InProcessLattice

MakeProcess = Callable[..., Awaitable[HostProcess]]
NEEDS_GC = "(component (core module (type (struct (field i32)))))"
NEEDS_PAGES = "(component (core module (memory 1 (pagesize 1))))"
USAGE = 2


async def test_a_component_starts_only_where_what_it_needs_is_on(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    plain, other = lattice.hosts[0].id, (await process("--wasm-feature", "gc=off")).id
    assert (await lattice.start_component("gc", NEEDS_GC, host=plain)).name == "component_scaled"
    event = await lattice.start_component("gc-too", NEEDS_GC, host=other)
    assert event.name == "component_scale_failed"
    assert (
        "it needs gc, which this host has off: start the host with --wasm-feature gc" in event.data["error"]
    )


async def test_a_host_says_what_is_on_and_can_be_chosen_by_what_differs(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    host = await process("--wasm-feature", "custom-page-sizes", "--wasm-feature", "gc=off")
    reply = await lattice.ask("host", "get", host.id)
    inventory = parse(HostInventory, reply.response, "inventory")
    assert inventory.wasm_features is not None
    assert "custom-page-sizes" in inventory.wasm_features and "gc" not in inventory.wasm_features
    asked = {
        "component_ref": "file:///x.wasm",
        "component_id": "pages",
        "constraints": {"hostcore.wasm.custom-page-sizes": "on", "hostcore.wasm.gc": "off"},
    }
    (bid,) = await lattice.ask_all("component", "auction", count=1, **asked)
    assert bid.response["host_id"] == host.id
    assert (await lattice.start_component("pages", NEEDS_PAGES, host=host.id)).name == "component_scaled"


async def test_a_host_with_an_unknown_feature_does_not_start_and_lists_the_known_ones() -> None:
    process = await create_subprocess_exec(
        sys.executable,
        "-m",
        "lath_host",
        "--wasm-feature",
        "gcc",
        stderr=PIPE,
        env={**os.environ, "LATH_WASM_FEATURES": "gc"},
    )
    _, told = await process.communicate()
    assert process.returncode == USAGE
    assert b"unknown wasm feature 'gcc'; known: " in told and b"gc, " in told
