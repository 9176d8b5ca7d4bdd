"""Providers of a host: as processes that it supervises, and built in; one class for both."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import guests
import pytest

from lath.backoff import Backoff
from lath.model import CloudEvent, ProviderDescription, ScaleComponent, StartProvider
from lath.testing import eventually
from lath_host.components.component import Component
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"
SCRIPT = Path(__file__).parents[1] / "support/words_provider.py"
PROCESS = SCRIPT.as_uri()
BUILTIN = "builtin:words"


@pytest.fixture(autouse=True)
def _words_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that offers the provider of the tests, as an installed one would."""
    metadata = tmp_path / "words-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[lath.providers]\nwords = words_provider:Words\nwrong = json:dumps\nmissing = words_provider:Nope\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


async def start(lattice: InProcessLattice, ref: str, provider_id: str = "words", **fields: Any) -> CloudEvent:
    host = lattice.hosts[0].id
    async with lattice.events() as events:
        reply = await lattice.ask(
            "provider", "start", host, provider_id=provider_id, provider_ref=ref, host_id=host, **fields
        )
        assert reply.success, reply.message
        return await events.wait("provider_started", "provider_start_failed", provider_id=provider_id)


def told(lattice: InProcessLattice) -> ProviderDescription:
    (provider,) = lattice.hosts[0].inventory().providers
    return provider


@pytest.mark.parametrize("ref", [PROCESS, BUILTIN])
async def test_a_component_calls_a_provider_by_its_link(
    lattice_in_process: InProcessLattice, ref: str
) -> None:
    lattice = lattice_in_process
    event = await start(lattice, ref, annotations={"a": "b"})
    assert event.name == "provider_started"
    assert event.data == {
        "host_id": lattice.hosts[0].id, "image_ref": ref, "provider_id": "words", "annotations": {"a": "b"},
    }  # fmt: skip
    await lattice.start_component("front", guests.relay())
    assert (await lattice.ask("config", "put", "prefix", prefix=">")).success
    await lattice.link("front", "words", ECHO, target_config=["prefix"])
    assert await lattice.call("front", FRONT, "say", "hello") == ">hello"
    provider = told(lattice)
    assert (provider.status, provider.restarts) == ("running", 0)
    assert (provider.pid is None) == (ref == BUILTIN)
    report = (await lattice.ask("link", "ping", deep=True, timeout_ms=3000)).response
    assert [link["verdict"] for link in report["links"]] == ["live"], report


async def test_a_provider_that_is_killed_comes_back_as_a_new_instance_with_its_links(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start(lattice, PROCESS)
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "words", ECHO)
    assert await lattice.call("front", FRONT, "say", "a") == "p:a"
    first = told(lattice)
    assert first.pid is not None
    async with lattice.events() as events:
        os.kill(first.pid, signal.SIGKILL)
        await events.wait("health_check_failed", provider_id="words")
        await events.wait("provider_started", provider_id="words")
    second = told(lattice)
    assert second.instance_id != first.instance_id and second.restarts == 1
    await eventually(
        lambda: [p.instance_id for p in lattice.presence.instances("words")] == [second.instance_id],
        what="the dead instance's presence to end, long before it expires",
    )

    async def live() -> bool:
        report = (await lattice.ask("link", "ping", timeout_ms=3000)).response
        return [link["verdict"] for link in report["links"]] == ["live"] and not report["silent"]

    await eventually(live)
    assert await lattice.call("front", FRONT, "say", "b") == "p:b"


async def test_a_ping_names_the_provider_that_was_killed_until_it_is_back(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start(lattice, PROCESS)
    providers = lattice.hosts[0].services.providers
    process = providers._running["words"]
    process._delays.backoff = Backoff(first_ms=60_000, max_ms=60_000)  # type: ignore[attr-defined]
    await lattice.link("front", "words", ECHO)
    before = told(lattice)
    assert before.pid is not None
    async with lattice.events() as events:
        os.kill(before.pid, signal.SIGKILL)
        await events.wait("health_check_failed", provider_id="words")
    await eventually(lambda: told(lattice).status == "backoff")
    report = (await lattice.ask("link", "ping", timeout_ms=2000)).response
    assert report["silent"] == [before.instance_id]
    assert report["links"][0]["verdict"] in ("silent", "unserved")
    assert told(lattice).last_error == "ended by signal 9"


@pytest.mark.parametrize("ref", [PROCESS, BUILTIN])
async def test_a_stopped_provider_is_gone_everywhere(lattice_in_process: InProcessLattice, ref: str) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0].id
    await start(lattice, ref)
    async with lattice.events() as events:
        assert (await lattice.ask("provider", "stop", host, provider_id="words", host_id=host)).success
        event = await events.wait("provider_stopped", provider_id="words")
        assert set(event.data) == {"host_id", "provider_id", "annotations", "reason"}
    assert lattice.hosts[0].inventory().providers == ()
    await eventually(lambda: lattice.presence.instances("words") == ())
    again = await lattice.ask("provider", "stop", host, provider_id="words", host_id=host)
    assert not again.success and again.message.startswith("not_found: ")


async def test_stopping_one_instance_of_a_provider_leaves_the_others(
    lattice_in_process: InProcessLattice,
) -> None:
    """Weakness 16: stopping one instance stopped all."""
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    host = lattice.hosts[0].id
    async with lattice.events() as events:
        for each in (host, other.id):
            fields = {"provider_id": "words", "provider_ref": PROCESS, "host_id": each}
            assert (await lattice.ask("provider", "start", each, **fields)).success
            await events.wait("provider_started", host_id=each)
        await eventually(lambda: len(lattice.presence.instances("words")) == 2)
        assert (await lattice.ask("provider", "stop", host, provider_id="words", host_id=host)).success
        await events.wait("provider_stopped", host_id=host)
    (left,) = await eventually(lambda: lattice.presence.instances("words"))
    assert left.host_id == other.id
    assert other.inventory().providers[0].status == "running"


async def test_a_provider_that_cannot_start_is_told_and_tried_again(
    lattice_in_process: InProcessLattice, tmp_path: Path
) -> None:
    lattice = lattice_in_process
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no database here')")
    event = await start(lattice, script.as_uri())
    assert event.name == "provider_start_failed" and "no database here" in event.data["error"]
    assert set(event.data) == {"provider_ref", "provider_id", "host_id", "error"}
    script.write_text(f"import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')")
    await eventually(lambda: told(lattice).status == "running", timeout_s=20)
    assert told(lattice).restarts >= 1


@pytest.mark.parametrize(
    ("ref", "said"),
    [("builtin:nope", "words"), ("builtin:wrong", "no subclass"), ("builtin:missing", "cannot be imported"),
     ("python:x y", "python:some.module"), ("oci/x:1", "python:some.module")],
)  # fmt: skip
async def test_a_reference_that_leads_nowhere_is_refused_at_once(
    lattice_in_process: InProcessLattice, ref: str, said: str
) -> None:
    host = lattice_in_process.hosts[0].id
    reply = await lattice_in_process.ask(
        "provider", "start", host, provider_id="words", provider_ref=ref, host_id=host
    )
    assert not reply.success and said in reply.message


async def test_a_component_and_a_provider_do_not_share_an_id_in_the_whole_lattice(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await start(lattice, BUILTIN)
    await lattice.start_component("front", guests.relay())
    for host in (lattice.hosts[0], other):
        await eventually(lambda host=host: host.services.presence.instances("words"))
        await eventually(lambda host=host: host.services.presence.instances("front"))
        reply = await lattice.ask(
            "component", "scale", host.id,
            component_id="words", component_ref="file:///x.wasm", count=1, host_id=host.id,
        )  # fmt: skip
        assert not reply.success and reply.message.startswith("conflict: ")
        reply = await lattice.ask(
            "provider", "start", host.id, provider_id="front", provider_ref=PROCESS, host_id=host.id
        )
        assert not reply.success and reply.message.startswith("conflict: ")
    twice = await lattice.ask(
        "provider", "start", lattice.hosts[0].id,
        provider_id="words", provider_ref=BUILTIN, host_id=lattice.hosts[0].id,
    )  # fmt: skip
    assert not twice.success and twice.message.startswith("conflict: ")


async def test_the_id_of_a_component_that_starts_is_taken_for_providers_of_its_host(
    lattice_in_process: InProcessLattice, monkeypatch: pytest.MonkeyPatch
) -> None:
    lattice, goes_on, starts = lattice_in_process, asyncio.Event(), asyncio.Event()
    plain = Component.start

    async def start_late(component: Component) -> None:
        starts.set()
        await goes_on.wait()
        await plain(component)

    monkeypatch.setattr(Component, "start", start_late)
    starting = asyncio.create_task(lattice.start_component("both", guests.echo()))
    await starts.wait()
    host = lattice.hosts[0].id
    reply = await lattice.ask(
        "provider", "start", host, provider_id="both", provider_ref=BUILTIN, host_id=host
    )
    goes_on.set()
    await starting
    assert not reply.success and reply.message.startswith("conflict: both is the id of a component")
    assert [component.id for component in lattice.hosts[0].inventory().components] == ["both"]


@pytest.mark.parametrize("failure", ["missing", "not wasm"])
async def test_the_id_of_a_component_that_did_not_start_is_free(
    lattice_in_process: InProcessLattice, failure: str, tmp_path: Path
) -> None:
    lattice, path = lattice_in_process, tmp_path / "words.wasm"
    if failure == "not wasm":
        path.write_text("words")
    host = lattice.hosts[0]
    async with lattice.events() as events:
        await host.services.components.scale(
            ScaleComponent(component_id="words", component_ref=path.as_uri(), count=1, host_id=host.id)
        )
        await events.wait("component_scale_failed")
    assert (await start(lattice, BUILTIN)).name == "provider_started"


@pytest.mark.parametrize("second", ["component", "provider"])
async def test_an_id_that_the_other_kind_took_meanwhile_fails_the_start(
    lattice_in_process: InProcessLattice, second: str
) -> None:
    """An operation was accepted while the id was free: its start looks again, and the event says so."""
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    services = other.services
    if second == "component":
        await start(lattice, BUILTIN, "both")
        ref = lattice.file("both", guests.echo()).as_uri()
        scale = ScaleComponent(component_id="both", component_ref=ref, count=1, host_id=other.id)
        accepted = services.components.scale(scale)
    else:
        await lattice.start_component("both", guests.echo())
        accepted = services.providers.start(
            StartProvider(provider_id="both", provider_ref=PROCESS, host_id=other.id)
        )
    await eventually(lambda: services.presence.instances("both"))
    async with lattice.events() as events:
        await accepted
        event = await events.wait("component_scale_failed", "provider_start_failed")
    assert event.data["host_id"] == other.id and event.data["error"].startswith(
        "conflict: both is the id of a"
    )
    assert other.inventory().components == () and other.inventory().providers == ()


@pytest.mark.parametrize("ref", [PROCESS, BUILTIN])
async def test_a_provider_is_present_for_as_long_as_its_host_is_told(
    lattice_in_process: InProcessLattice, ref: str
) -> None:
    lattice = lattice_in_process
    lattice.hosts[:] = await lattice.add_hosts(1, presence_ttl_ms=3_000)
    await start(lattice, ref)
    (present,) = await eventually(lambda: lattice.presence.instances("words"))
    assert present.ttl_ms == 3_000


async def test_a_provider_auction_is_answered_where_it_does_not_run(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await start(lattice, BUILTIN)
    fields = {"provider_ref": BUILTIN, "provider_id": "words", "constraints": {}}
    (bid,) = await lattice.ask_all("provider", "auction", count=1, **fields)
    assert bid.response == {**fields, "host_id": other.id}


@pytest.mark.parametrize("ref", [PROCESS, BUILTIN])
async def test_a_broken_link_fails_with_the_providers_reason_and_heals_with_its_config(
    lattice_in_process: InProcessLattice, ref: str
) -> None:
    lattice = lattice_in_process
    await start(lattice, ref)
    await lattice.start_component("front", guests.relay())
    assert (await lattice.ask("config", "put", "c", broken="the disk is full")).success
    await lattice.link("front", "words", ECHO, target_config=["c"])
    error = await lattice.failure("front", FRONT, "say", "x")
    assert "the disk is full" in error.message and "link_failed" in error.message
    assert (await lattice.ask("config", "put", "c", prefix="ok:")).success

    async def healed() -> bool:
        try:
            return bool(await lattice.call("front", FRONT, "say", "x") == "ok:x")
        except Exception:
            return False

    await eventually(healed)


async def test_a_stopping_host_stops_its_providers(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    async with lattice.events() as events:
        fields = {"provider_id": "words", "provider_ref": PROCESS, "host_id": other.id}
        assert (await lattice.ask("provider", "start", other.id, **fields)).success
        await events.wait("provider_started", host_id=other.id)
        pid = other.inventory().providers[0].pid
        assert pid is not None
        async with asyncio.timeout(20):
            await other.stop()
        await events.wait("provider_stopped", host_id=other.id)
        await events.wait("host_stopped")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_of_concurrent_starts_of_one_provider_one_runs(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0].id
    for provider_id, ref in (("words", BUILTIN), ("more", PROCESS)):
        fields = {"provider_id": provider_id, "provider_ref": ref, "host_id": host}
        async with lattice.events() as events:
            replies = await asyncio.gather(
                *(lattice.ask("provider", "start", host, **fields) for _ in range(10))
            )
            assert any(reply.success for reply in replies)
            await events.wait("provider_started", provider_id=provider_id)
        await eventually(lambda provider_id=provider_id: len(lattice.presence.instances(provider_id)) == 1)
    assert sorted(provider.id for provider in lattice.hosts[0].inventory().providers) == ["more", "words"]
