"""What components read of named config by `wasi:config`, providers of their own; what becomes of changes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import guests
import pytest

from lath.errors import LathError
from lath.testing import eventually
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"
WORDS = (Path(__file__).parents[1] / "support/words_provider.py").as_uri()


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


# --- providers ---------------------------------------------------------------------------------------


async def start_words(lattice: InProcessLattice) -> None:
    host = lattice.hosts[0]
    async with lattice.events() as events:
        fields = {"provider_id": "words", "provider_ref": WORDS, "host_id": host.id, "config": ["app"]}
        assert (await lattice.ask("provider", "start", host.id, **fields)).success
        await events.wait("provider_started", host_id=host.id)
    await lattice.start_component("reader", guests.relay())
    await lattice.link("reader", "words", ECHO)


async def test_a_provider_process_is_told_of_its_own_config_while_it_runs(
    lattice_in_process: InProcessLattice,
) -> None:
    """One that is deleted counts as empty there; its next start waits until it is put again."""
    lattice = lattice_in_process
    assert (await lattice.ask("config", "put", "app", tag="one")).success
    await start_words(lattice)
    (provider,) = lattice.hosts[0].inventory().providers
    await becomes(lattice, "config", "one")
    assert (await lattice.ask("config", "put", "app", tag="two")).success
    await becomes(lattice, "config", "two")
    assert (await lattice.ask("config", "del", "app")).success
    await becomes(lattice, "config", "none")
    assert lattice.hosts[0].inventory().providers == (provider,), "no restart"

    assert provider.pid is not None
    os.kill(provider.pid, signal.SIGKILL)

    def waits() -> bool:
        (now,) = lattice.hosts[0].inventory().providers
        return "config app does not exist" in (now.last_error or "")

    await eventually(waits, 30)
    assert (await lattice.ask("config", "put", "app", tag="three")).success
    await lattice.presence.wait_until(lambda: bool(lattice.presence.instances("words")))

    async def back() -> bool:
        try:
            return await read(lattice, "config") == "three"
        except LathError:
            return False

    await eventually(back, 30)
