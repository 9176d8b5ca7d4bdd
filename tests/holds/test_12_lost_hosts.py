"""Must hold 12: hosts that are killed, frozen, stopped or interrupted while calls are under way.

Where presence has to end, the hosts hold it for less than usual, and so does what runs on them.
"""

from __future__ import annotations

import asyncio
import signal

import guests
import pytest
from whole_lattice import ECHO, FRONT, WholeLattice

from lath.errors import LathError
from lath.testing import eventually

SHORT = ("--presence-ttl-ms", "3000")


async def spread(lattice: WholeLattice, *options: str) -> None:
    """`echo` on the first host and the second; `front`, which calls it, on the third."""
    await lattice.add_hosts(3, *options)
    for host in (0, 1):
        await lattice.component("echo", guests.echo(tag="e:"), host=host)
    await lattice.component("front", guests.relay(), host=2)
    await lattice.component("loops", guests.relay(function="loop"), host=2)
    for source in ("front", "loops"):
        await lattice.link(source, "echo")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_calls_held_by_a_lost_host_end_as_instance_lost_and_new_ones_go_elsewhere(
    empty: WholeLattice, how: signal.Signals
) -> None:
    """The calls that are held are a guest's on another host; its import traps with the kind."""
    lattice = empty
    await spread(lattice, *SHORT)
    # Least outstanding of two: eight calls that never end are spread over both hosts.
    held = [asyncio.create_task(lattice.failure("loops", FRONT, "", timeout_ms=60_000)) for _ in range(8)]

    async def all_run() -> bool:
        return await lattice.running("echo", 0) + await lattice.running("echo", 1) == 8

    await eventually(all_run)
    lost = await lattice.running("echo", 0)
    assert lost > 0
    lattice.hosts[0].signal(how)

    async def ended() -> bool:
        return sum(task.done() for task in held) == lost

    # 3 s of presence, and room for a busy machine; the calls' own time-out is a minute.
    await eventually(ended, 20)
    assert all("instance_lost" in str(task.result()) for task in held if task.done())
    answers = await asyncio.gather(*(lattice.call("front", FRONT, str(i)) for i in range(40)))
    assert answers == [f"e:{i}" for i in range(40)]
    assert sum(task.done() for task in held) == lost  # the other host's calls go on
    for task in held:
        task.cancel()
    await asyncio.wait(held)


async def test_before_its_presence_ends_calls_pass_a_killed_host_over(empty: WholeLattice) -> None:
    lattice = empty
    await spread(lattice)
    lattice.hosts[0].signal(signal.SIGKILL)
    await lattice.hosts[0].exited()
    answers = await asyncio.gather(*(lattice.call("front", FRONT, str(i)) for i in range(40)))
    assert answers == [f"e:{i}" for i in range(40)]


@pytest.mark.parametrize("how", ["the client", "Ctrl-C"])
async def test_a_graceful_stop_under_load_loses_no_call_and_sends_host_stopped(
    empty: WholeLattice, how: str
) -> None:
    lattice, client = empty, empty.client
    await spread(lattice)
    await lattice.provider_alone("steady")
    for host in (0, 1):
        await lattice.provider("words", host=host)
        await lattice.component("slow", guests.relay(), host=host)
    await lattice.link("slow", "steady")
    done = asyncio.Event()
    answered = 0
    lost: list[LathError] = []
    stopped: list[str] = []

    async def keep_calling(target: str, interface: str, text: str, answer: str) -> None:
        nonlocal answered
        while not done.is_set():
            try:
                assert await lattice.call(target, interface, text) == answer
                answered += 1
            except LathError as e:
                lost.append(e)

    async def listen() -> None:
        async for event in client.watch(listens.set):
            if getattr(event, "name", "") == "host_stopped":
                stopped.append(event.source)

    listens = asyncio.Event()
    listening = asyncio.create_task(listen())
    await listens.wait()
    async with asyncio.TaskGroup() as callers:
        for _ in range(8):
            callers.create_task(keep_calling("front", FRONT, "x", "e:x"))
            callers.create_task(keep_calling("echo", ECHO, "x", "e:x"))
            callers.create_task(keep_calling("slow", FRONT, "slowly", "p:slowly"))
        await eventually(lambda: answered > 100, 30)
        if how == "Ctrl-C":
            lattice.hosts[0].signal(signal.SIGINT)
        else:
            await client.hosts.stop(lattice.hosts[0].id)
        assert await lattice.hosts[0].exited() == 0
        before = answered
        await eventually(lambda: answered > before + 100, 30)
        done.set()
    assert lost == []
    await eventually(lambda: stopped == [lattice.hosts[0].id])
    (left,) = await eventually(lambda: client.presence.instances("words"))
    assert left.host_id == lattice.hosts[1].id  # one instance of the provider stopped, the other stays
    listening.cancel()
    await asyncio.wait([listening])
