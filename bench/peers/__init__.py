"""What lath is measured beside: other ways to call an echo in another process, with the same bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgpack

from bench.load import Call, Load, closed_loop

TEXT: Final = "x" * 64
PARAMS: Final[bytes] = msgpack.packb([TEXT])
"""What goes out: an array of one string of 64 characters."""
REPLY: Final[bytes] = msgpack.packb(TEXT)
"""What comes back."""

Closed: TypeAlias = Callable[[int, float], Awaitable[Load]]
"""Keeps so many calls in flight for so many seconds."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to call.

    Attributes:
        name: In names of measurements.
        closed: A closed loop of its calls.
        call: One call, where this process makes it.
    """

    name: str
    closed: Closed
    call: Call | None = None


def contender(name: str, send: Callable[[], Awaitable[bytes]]) -> Contender:
    """A contender whose calls this process makes; each answer is checked."""

    async def call() -> None:
        if await send() != REPLY:
            raise RuntimeError(f"{name}: the echo is not what was sent")

    async def closed(in_flight: int, seconds: float) -> Load:
        return await closed_loop(call, in_flight, seconds)

    return Contender(name, closed, call)
