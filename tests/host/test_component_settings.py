"""What a component is given beside its code: shown, kept, changed and taken away while it runs."""

from __future__ import annotations

import asyncio
from typing import Any

import guests
import pytest
from telling_guests import ABOUT, teller

from lath.model import ComponentDescription
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
SECRET = "hunter2"
SETTINGS: dict[str, Any] = {
    "env": {"GREETING": "hello", "PASSWORD": SECRET},
    "allowed_hosts": ["api.example.com", "*.example.org:8443"],
    "allowed_sockets": ["db.example.com:5432"],
}


def described(lattice: InProcessLattice, host: int = 0) -> ComponentDescription:
    (found,) = lattice.hosts[host].inventory().components
    return found


async def env(lattice: InProcessLattice, component_id: str = "teller") -> dict[str, str]:
    return dict(await lattice.call(component_id, ABOUT, "env"))


async def refusal(lattice: InProcessLattice, **settings: Any) -> str:
    reply = await lattice.ask(
        "component", "scale", lattice.hosts[0].id, component_id="teller", count=1,
        component_ref=lattice.file("teller", teller()).as_uri(), host_id=lattice.hosts[0].id, **settings,
    )  # fmt: skip
    assert not reply.success
    return reply.message


async def test_a_component_has_the_environment_that_it_was_started_with(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("teller", teller(), **SETTINGS)
    assert await env(lattice) == SETTINGS["env"]


async def test_settings_are_shown_but_never_the_values_of_the_environment(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    event = await lattice.start_component("teller", teller(), **SETTINGS)
    shown = {**SETTINGS, "env": ["GREETING", "PASSWORD"]}
    assert {name: event.data[name] for name in shown} == shown
    reply = await lattice.ask("host", "get", lattice.hosts[0].id)
    (told,) = reply.response["components"]
    assert {name: told[name] for name in shown} == shown
    assert SECRET not in reply.to_json().decode() + event.model_dump_json()


async def test_what_a_request_does_not_mention_stays_and_what_is_empty_is_taken_away(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("teller", teller(), **SETTINGS)
    await lattice.start_component("teller", teller(), count=3)
    assert await env(lattice) == SETTINGS["env"]
    assert described(lattice).allowed_hosts == tuple(SETTINGS["allowed_hosts"])
    await lattice.start_component("teller", teller(), env={}, allowed_hosts=[])
    assert await env(lattice) == {}
    told = described(lattice)
    assert (told.env, told.allowed_hosts) == (None, None)
    assert told.allowed_sockets == tuple(SETTINGS["allowed_sockets"])


async def test_another_environment_takes_the_place_of_the_one_before_and_loses_no_call(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("teller", teller(), env={"A": "1"}, component_limits={"reuse": True})
    before = described(lattice)
    answers: list[dict[str, str]] = []
    done = asyncio.Event()

    async def keep_calling() -> None:
        while not done.is_set():
            answers.append(await env(lattice))

    async with asyncio.TaskGroup() as callers:
        callers.create_task(keep_calling())
        await lattice.start_component("teller", teller(), env={"B": "2"})
        assert await env(lattice) == {"B": "2"}  # idle instances of before serve nobody
        done.set()
    assert all(each in ({"A": "1"}, {"B": "2"}) for each in answers)
    after = described(lattice)
    assert after.instance_id != before.instance_id and after.revision == before.revision
    assert after.limits == before.limits


async def test_the_same_settings_again_leave_the_component_alone(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("teller", teller(), **SETTINGS)
    before = described(lattice)
    await lattice.start_component("teller", teller(), **SETTINGS)
    assert described(lattice).instance_id == before.instance_id


async def test_a_change_of_settings_needs_the_components_file_no_more(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("teller", teller(), env={"A": "1"})
    lattice.file("teller", "no component")
    host = lattice.hosts[0].id
    async with lattice.events() as events:
        reply = await lattice.ask(
            "component", "scale", host, component_id="teller", count=1, env={"A": "2"},
            component_ref=described(lattice).image_ref, host_id=host,
        )  # fmt: skip
        assert reply.success
        await events.wait("component_scaled", component_id="teller")
    assert await env(lattice) == {"A": "2"}


async def test_an_update_keeps_the_settings_or_brings_others(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("teller", guests.echo(), **SETTINGS)
    host = lattice.hosts[0].id
    ref = lattice.file("teller2", teller()).as_uri()
    updates: list[dict[str, Any]] = [{}, {"env": {"NEW": "1"}}]
    for settings, expected in zip(updates, [SETTINGS["env"], {"NEW": "1"}], strict=True):
        async with lattice.events() as events:
            asked = {"component_id": "teller", "new_component_ref": ref, "host_id": host, **settings}
            assert (await lattice.ask("component", "update", host, **asked)).success
            await events.wait("component_scaled", component_id="teller")
        assert await env(lattice) == expected
    assert described(lattice).allowed_sockets == tuple(SETTINGS["allowed_sockets"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"env": {"": "x"}}, "env: '' is not the name of an environment variable"),
        ({"env": {"A=B": "x"}}, "env: 'A=B' is not the name"),
        ({"env": {"1A": "x"}}, "env: '1A' is not the name"),
        ({"env": {"A": SECRET + "\0"}}, "env: the value of A has a NUL"),
        ({"env": {"A": SECRET * 10_000}}, "env: it has 70001 characters, and may have 65536"),
        ({"env": {"A": 1}}, "env.A: "),
        ({"allowed_hosts": ["a b"]}, "allowed_hosts: 'a b' is not a pattern"),
        ({"allowed_hosts": [""]}, "allowed_hosts: '' is not a pattern"),
        ({"allowed_sockets": ["x" * 513]}, "allowed_sockets: 'xxx"),
        ({"allowed_sockets": ["x"] * 257}, "allowed_sockets: 257 patterns were given, 256 are the most"),
    ],
)
async def test_a_malformed_setting_is_refused_by_name_and_its_value_is_not_told(
    lattice_in_process: InProcessLattice, settings: dict[str, Any], said: str
) -> None:
    message = await refusal(lattice_in_process, **settings)
    assert said in message and SECRET not in message


async def test_one_component_configured_three_times_runs_as_three_on_three_hosts(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.add_hosts(2)
    source = lattice.file("shared", teller())
    for number, host in enumerate(lattice.hosts):
        assert (await lattice.ask("config", "put", f"settings-{number}", step=f"{number}")).success
        await lattice.start_component(
            f"step-{number}", source, host=host, config=[f"settings-{number}"], env={"STEP": f"{number}"}
        )
    digests = {described(lattice, number).digest for number in range(3)}
    assert len(digests) == 1
    for number in range(3):
        assert await env(lattice, f"step-{number}") == {"STEP": f"{number}"}
        assert await lattice.call(f"step-{number}", ABOUT, "config") == {"ok": [["step", f"{number}"]]}
