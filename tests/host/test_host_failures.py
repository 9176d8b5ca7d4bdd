"""What callers see when a host is killed, frozen, interrupted or drained; hosts are real processes here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import guests
import pytest

from lath.testing import eventually
from lath_host.testing import HostProcess, InProcessLattice

ECHO = "test:words/echo@1.0.0"
WORDS = (Path(__file__).parents[1] / "support/words_provider.py").as_uri()
MakeProcess = Callable[..., Awaitable[HostProcess]]


async def placed(lattice: InProcessLattice, host: HostProcess, count: int = 1) -> None:
    """Has `echo` run in the process, and `count` instances of it be present."""
    event = await lattice.start_component("echo", guests.echo(tag="e:"), host=host.id)
    assert event.name == "component_scaled", event.data
    await eventually(lambda: len(lattice.presence.instances("echo")) == count)


async def test_ctrl_c_lets_calls_finish_sends_host_stopped_and_exits_with_0(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    """Weakness 16: Ctrl-C sent no `host_stopped`, so ghost hosts stayed."""
    lattice = lattice_in_process
    host = await process()
    await placed(lattice, host)
    async with lattice.events() as events:
        host.signal(signal.SIGINT)
        await events.wait("host_stopped")
        assert events.seen[-1].source == host.id
    assert await host.exited() == 0
    await eventually(lambda: host.id not in {each.target for each in lattice.presence.hosts()})
    assert lattice.presence.instances("echo") == ()
    assert lattice.presence.lost() == ()


async def test_a_terminated_host_stops_its_providers_and_exits_with_0(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    host = await process()
    async with lattice.events() as events:
        fields = {"provider_id": "words", "provider_ref": WORDS, "host_id": host.id}
        assert (await lattice.ask("provider", "start", host.id, **fields)).success
        await events.wait("provider_started", host_id=host.id)
        pid = (await lattice.ask("host", "get", host.id)).response["providers"][0]["pid"]
        host.signal(signal.SIGTERM)
        await events.wait("provider_stopped", host_id=host.id)
    assert await host.exited() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_providers_of_a_killed_host_end_with_it(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    host = await process()
    async with lattice.events() as events:
        fields = {"provider_id": "words", "provider_ref": WORDS, "host_id": host.id}
        assert (await lattice.ask("provider", "start", host.id, **fields)).success
        await events.wait("provider_started", host_id=host.id)
    host.signal(signal.SIGKILL)
    await eventually(lambda: lattice.presence.instances("words") == (), what="the provider to leave")


async def test_after_a_kill_new_calls_go_to_another_instance(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    host = await process()
    await placed(lattice, host)
    await lattice.start_component("echo", guests.echo(tag="e:"))
    await eventually(lambda: len(lattice.presence.instances("echo")) == 2)
    host.signal(signal.SIGKILL)
    await host.exited()
    answers = await asyncio.gather(*(lattice.call("echo", ECHO, "say", str(i)) for i in range(50)))
    assert answers == [f"e:{i}" for i in range(50)]


async def test_after_a_kill_without_another_instance_new_calls_fail_at_once(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    host = await process()
    await placed(lattice, host)
    host.signal(signal.SIGKILL)
    await host.exited()

    async def refused() -> bool:
        error = await lattice.failure("echo", ECHO, "say", "x", timeout_ms=60_000)
        return error.kind in ("unavailable", "not_found")

    await eventually(refused)  # the server may not have seen yet that the host's connection is gone


async def test_a_graceful_stop_loses_no_call(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    first = await process()
    await placed(lattice, first)
    second = await process()
    await placed(lattice, second, count=2)
    done = asyncio.Event()
    answered = 0

    async def keep_calling() -> None:
        nonlocal answered
        while not done.is_set():
            assert await lattice.call("echo", ECHO, "say", "x") == "e:x"
            answered += 1

    async with asyncio.TaskGroup() as callers:
        for _ in range(16):
            callers.create_task(keep_calling())
        await eventually(lambda: answered > 100)
        first.signal(signal.SIGTERM)
        assert await first.exited() == 0
        before = answered
        await eventually(lambda: answered > before + 100)
        done.set()


async def test_a_graceful_stop_loses_no_call_that_goes_on_to_a_component_beside_it(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    front = "test:words/front@1.0.0"
    await lattice.link("front", "echo", ECHO)
    first, second = await process(), await process()
    for host in (first, second):
        for component_id, source in (("echo", guests.echo(tag="e:")), ("front", guests.relay())):
            event = await lattice.start_component(component_id, source, host=host.id)
            assert event.name == "component_scaled", event.data
    await eventually(lambda: len(lattice.presence.instances("front")) == 2)
    done = asyncio.Event()
    answered = 0

    async def keep_calling() -> None:
        nonlocal answered
        while not done.is_set():
            assert await lattice.call("front", front, "say", "x") == "e:x"
            answered += 1

    async with asyncio.TaskGroup() as callers:
        for _ in range(16):
            callers.create_task(keep_calling())
        await eventually(lambda: answered > 100)
        first.signal(signal.SIGTERM)
        assert await first.exited() == 0
        before = answered
        await eventually(lambda: answered > before + 100)
        done.set()


async def test_a_stopping_host_gives_running_calls_their_time_and_then_ends_them(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    host = await process("--drain-ms", "300")
    await placed(lattice, host)
    held = asyncio.create_task(lattice.failure("echo", ECHO, "loop", "", timeout_ms=60_000))

    async def running() -> bool:
        (told,) = (await lattice.ask("host", "get", host.id)).response["components"]
        return bool(told["stats"]["running"] == 1)

    await eventually(running)
    host.signal(signal.SIGTERM)
    assert (await held).kind == "cancelled"
    assert await host.exited() == 0


async def test_a_host_that_finds_no_bus_exits_with_3() -> None:
    async with HostProcess("nats://127.0.0.1:9", "default") as host:
        assert await host.exited() == 3


async def test_a_host_with_options_that_are_not_valid_exits_with_2() -> None:
    async with HostProcess("nats://127.0.0.1:9", "no.dots") as host:
        assert await host.exited() == 2
