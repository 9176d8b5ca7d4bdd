"""Must hold 14: guests that loop, eat memory or trap cost their own calls, on a host that is a process."""

from __future__ import annotations

import asyncio

import guests
from whole_lattice import ECHO, FRONT, WholeLattice

from lath.model import ComponentLimits
from lath.testing import eventually


async def test_a_hundred_calls_on_the_same_host_complete_while_a_guest_loops_for_ever(
    one_host: WholeLattice,
) -> None:
    """The hundred come from a client, and by a link from a component beside the wild one."""
    lattice = one_host
    limits = ComponentLimits(memory_bytes_max=8 * 1024 * 1024)
    await lattice.component("wild", guests.echo(), limits=limits)
    await lattice.component("tame", guests.echo(tag="t:"))
    await lattice.component("front", guests.relay())
    await lattice.link("front", "tame")
    looping = [
        asyncio.create_task(lattice.failure("wild", ECHO, "", function="loop", timeout_ms=110_000))
        for _ in range(3)
    ]

    async def all_loop() -> bool:
        return await lattice.running("wild") == 3

    await eventually(all_loop)
    for target, interface in (("tame", ECHO), ("front", FRONT)):
        answers = await asyncio.gather(*(lattice.call(target, interface, str(i)) for i in range(100)))
        assert answers == [f"t:{i}" for i in range(100)]
    for _ in range(3):
        assert (await lattice.failure("wild", ECHO, "", function="trap")).kind == "trap"
        error = await lattice.failure("wild", ECHO, "", function="grow")
        assert error.kind in ("trap", "limit_exceeded")
    assert await lattice.call("wild", ECHO, "still here") == "still here"
    assert await lattice.call("tame", ECHO, "x") == "t:x"
    assert await lattice.running("wild") == 3
    for task in looping:
        task.cancel()
    await asyncio.wait(looping)
    await eventually(lambda: _idle(lattice))  # a cancelled call frees its instance


async def _idle(lattice: WholeLattice) -> bool:
    return await lattice.running("wild") == 0
