"""Telling of the handles that guests hold, however many, leaves the loop to others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from lath.bus import Bus
from lath.codec.handles import ComponentHandle
from lath.testing import eventually
from lath_host.components.held import HANDLES_PER_TURN, HeldHandles
from lath_host.components.local import LocalTargets

MANY = 5 * HANDLES_PER_TURN + 1
HANDLES = [ComponentHandle("counters", "home", at.to_bytes(16, "big"), 1) for at in range(MANY)]
PARTS = [HANDLES_PER_TURN] * 5 + [1]


class HomeInTurns:
    """A home of resources that hears of their handles, and counts the turns of the loop meanwhile."""

    instance_id = "home"

    def __init__(self) -> None:
        self.turns = 0
        self.renewed: list[tuple[int, int]] = []
        self.released: list[tuple[int, int]] = []
        self._loop = asyncio.get_running_loop()
        self._turn()

    def _turn(self) -> None:
        self.turns += 1
        self._next = self._loop.call_soon(self._turn)

    def renew(self, tokens: Sequence[bytes]) -> None:
        self.renewed.append((len(tokens), self.turns))

    def release(self, tokens: Sequence[bytes]) -> None:
        self.released.append((len(tokens), self.turns))

    def has_room(self) -> bool:
        return True

    async def call_local(self, call: object) -> None: ...

    def end(self) -> None:
        self._next.cancel()


def in_turns(heard: list[tuple[int, int]]) -> bool:
    """Whether all were told of, in parts, each in a turn of its own."""
    return [size for size, _ in heard] == PARTS and len({turn for _, turn in heard}) == len(PARTS)


async def test_many_handles_are_renewed_and_released_in_parts() -> None:
    targets, home = LocalTargets(), HomeInTurns()
    targets.homes["home"] = home
    holdings = HeldHandles("holder", cast("Bus", None), targets, lambda: HANDLES)
    try:
        holdings.began(HANDLES[0])
        await eventually(lambda: len(home.renewed) >= len(PARTS))
        assert in_turns(home.renewed[: len(PARTS)])
        for handle in HANDLES:
            holdings.ended(handle)
        await holdings.close()
        assert in_turns(home.released)
    finally:
        home.end()
