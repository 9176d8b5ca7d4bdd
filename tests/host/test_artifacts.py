"""Components by reference: from the lattice's own store, and from files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import guests
import pytest

from lath import subjects
from lath.errors import InvalidArgument, NotFound
from lath_host import artifacts
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"


async def stored(lattice: InProcessLattice, data: bytes, name: str = "") -> str:
    """Puts bytes into the artifact store, as a client does; returns the reference."""
    jetstream = lattice.bus.nc.jetstream()
    store = await jetstream.create_object_store(subjects.artifact_store(lattice.bus.lattice))
    digest = name or hashlib.sha256(data).hexdigest()
    await store.put(digest, data)
    return f"bus:sha256:{digest}"


async def test_a_component_from_the_lattices_store_runs(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    ref = await stored(lattice, guests.echo(tag="b:").encode())
    event = await lattice.start_component("echo", "", component_ref=ref)
    assert event.name == "component_scaled", event.data
    assert await lattice.call("echo", ECHO, "say", "x") == "b:x"


async def test_what_is_stored_under_anothers_digest_is_refused(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    ref = await stored(lattice, b"something else", name="0" * 64)
    with pytest.raises(InvalidArgument, match="digest"):
        await artifacts.load(ref, lattice.hosts[0].services.bus)


async def test_what_is_not_stored_is_not_found(lattice_in_process: InProcessLattice, tmp_path: Path) -> None:
    bus = lattice_in_process.hosts[0].services.bus
    for ref in (f"bus:sha256:{'1' * 64}", (tmp_path / "no.wasm").as_uri(), tmp_path.as_uri()):
        with pytest.raises(NotFound):
            await artifacts.load(ref, bus)


async def test_config_that_does_not_exist_is_refused_for_components_and_providers(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0].id
    for tokens, fields in (
        (("component", "scale", host), {"component_id": "a", "component_ref": "file:///x.wasm", "count": 1}),
        (("provider", "start", host), {"provider_id": "a", "provider_ref": "python:x"}),
    ):
        reply = await lattice.ask(*tokens, host_id=host, config=["nope"], **fields)
        assert not reply.success and reply.message.startswith("not_found: config nope")
