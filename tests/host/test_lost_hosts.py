"""Calls that are held by a host which is killed, or frozen; presence is short here, so that it ends soon."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import guests
import pytest

from lath.testing import eventually
from lath_host.testing import HostProcess, InProcessLattice

ECHO = "test:words/echo@1.0.0"
MakeProcess = Callable[..., Awaitable[HostProcess]]


@pytest.fixture
def presence_ttl_ms() -> int:
    """Long enough for a busy machine to renew in time."""
    return 3_000


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_calls_that_a_lost_host_held_end_as_instance_lost_within_the_presence_ttl(
    lattice_in_process: InProcessLattice, process: MakeProcess, how: signal.Signals
) -> None:
    lattice = lattice_in_process
    host = await process()
    await lattice.start_component("echo", guests.echo(tag="e:"), host=host.id)
    await eventually(lambda: lattice.presence.instances("echo"))
    held = asyncio.create_task(lattice.failure("echo", ECHO, "loop", "", timeout_ms=60_000))

    async def running() -> bool:
        (told,) = (await lattice.ask("host", "get", host.id)).response["components"]
        return bool(told["stats"]["running"] == 1)

    await eventually(running)
    host.signal(how)
    async with asyncio.timeout(30):
        assert (await held).kind == "instance_lost"
    assert [lost.instance_id for lost in lattice.presence.lost() if lost.kind == "component"] != []
