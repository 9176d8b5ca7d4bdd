"""`wasi:config`: what a component reads of named config, and what becomes of a change."""

from __future__ import annotations

import guests
import pytest

from lath.testing import eventually
from lath_host.testing import InProcessLattice

FRONT = "test:words/front@1.0.0"


async def read(lattice: InProcessLattice, key: str) -> str:
    value = await lattice.call("reader", FRONT, "say", key)
    assert isinstance(value, str)
    return value


async def becomes(lattice: InProcessLattice, key: str, value: str) -> None:
    async def there() -> bool:
        return await read(lattice, key) == value

    await eventually(there)


@pytest.mark.parametrize("draft", ["0.2.0-rc.1", "0.2.0-draft"])
async def test_a_component_reads_its_config_without_a_link(
    lattice_in_process: InProcessLattice, draft: str
) -> None:
    lattice = lattice_in_process
    assert (await lattice.ask("config", "put", "app", greeting="hello", empty="")).success
    await lattice.start_component("reader", guests.config_reader(draft=draft), config=["app"])
    assert await read(lattice, "greeting") == "hello"
    assert await read(lattice, "nothing") == await read(lattice, "empty") == ""


@pytest.mark.parametrize("reuse", [False, True], ids=["fresh", "reused"])
async def test_a_changed_value_is_seen_without_a_restart(
    lattice_in_process: InProcessLattice, reuse: bool
) -> None:
    lattice = lattice_in_process
    assert (await lattice.ask("config", "put", "app", greeting="hello")).success
    options = {"config": ["app"], "count": 1, "component_limits": {"reuse": reuse}}
    await lattice.start_component("reader", guests.config_reader(), **options)
    component = lattice.hosts[0].services.components.get("reader")
    assert await read(lattice, "greeting") == "hello"
    assert (await lattice.ask("config", "put", "app", greeting="good day", more="x")).success
    await becomes(lattice, "greeting", "good day")
    assert await read(lattice, "more") == "x"
    assert lattice.hosts[0].services.components.get("reader") is component
    if reuse:
        assert (component.describe().stats or {})["instances"] == 1, "the one that had read the old value"


async def test_a_value_that_is_taken_out_of_a_config_is_gone(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    assert (await lattice.ask("config", "put", "base", greeting="hello", name="base")).success
    assert (await lattice.ask("config", "put", "app", name="app")).success
    await lattice.start_component("reader", guests.config_reader(), config=["base", "app"])
    assert await read(lattice, "name") == "app"
    assert (await lattice.ask("config", "put", "app", other="x")).success
    await becomes(lattice, "name", "base")


async def test_a_config_that_is_deleted_counts_as_empty_for_the_components_that_run(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    assert (await lattice.ask("config", "put", "base", greeting="hello")).success
    assert (await lattice.ask("config", "put", "app", greeting="good day")).success
    await lattice.start_component("reader", guests.config_reader(), config=["base", "app"])
    assert await read(lattice, "greeting") == "good day"
    assert (await lattice.ask("config", "del", "app")).success
    await becomes(lattice, "greeting", "hello")
    assert (await lattice.ask("config", "put", "app", greeting="back")).success
    await becomes(lattice, "greeting", "back")
