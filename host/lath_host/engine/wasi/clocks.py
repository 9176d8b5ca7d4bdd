"""Time and waiting: `wasi:io/poll` and the monotonic clock.

A pollable's data is the monotonic time at which it is due, 8 bytes; empty: ready from the start.
"""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any, Final

from msgpack import ExtType

from lath.codec import PROVIDER_RESOURCE
from lath.errors import InvalidArgument
from lath_host.engine.wasi import Immediate, Printer, Waiting

_DUE: Final = struct.Struct("<Q")
_NS_PER_S: Final = 1_000_000_000
_U64_MAX: Final = (1 << 64) - 1
_SLEEP_SECONDS_MAX: Final = 86_400.0
"""Longer waits are cut into pieces: timers of the event loop overflow on absurd values."""
READY: Final = ExtType(PROVIDER_RESOURCE, b"")
"""A pollable that is ready from the start."""


def _now(guest: Printer, params: list[Any]) -> int:
    return time.monotonic_ns()


def _at(guest: Printer, params: list[Any]) -> ExtType:
    return ExtType(PROVIDER_RESOURCE, _DUE.pack(params[0]))


def _after(guest: Printer, params: list[Any]) -> ExtType:
    return ExtType(PROVIDER_RESOURCE, _DUE.pack(min(time.monotonic_ns() + params[0], _U64_MAX)))


def _due(pollable: ExtType) -> int:
    return int(_DUE.unpack(pollable.data)[0]) if pollable.data else 0


def _ready(guest: Printer, params: list[Any]) -> bool:
    return _due(params[0]) <= time.monotonic_ns()


async def _until(due: int) -> None:
    while (left := due - time.monotonic_ns()) > 0:  # noqa: ASYNC110 - it is a time that is waited for
        await asyncio.sleep(min(left / _NS_PER_S, _SLEEP_SECONDS_MAX))
    # a guest that polls what is ready, over and over, must let others run
    await asyncio.sleep(0)


async def _block(params: list[Any]) -> None:
    await _until(_due(params[0]))


async def _poll(params: list[Any]) -> list[int]:
    if not params[0]:
        raise InvalidArgument("wasi:io/poll was given an empty list, which would wait for ever")
    dues = [_due(pollable) for pollable in params[0]]
    await _until(min(dues))
    now = time.monotonic_ns()
    return [index for index, due in enumerate(dues) if due <= now]


IMMEDIATE: Final[dict[tuple[str, str], Immediate]] = {
    ("wasi:clocks/monotonic-clock", "now"): _now,
    ("wasi:clocks/monotonic-clock", "subscribe-instant"): _at,
    ("wasi:clocks/monotonic-clock", "subscribe-duration"): _after,
    ("wasi:io/poll", "[method]pollable.ready"): _ready,
}
WAITING: Final[dict[tuple[str, str], Waiting]] = {
    ("wasi:io/poll", "[method]pollable.block"): _block,
    ("wasi:io/poll", "poll"): _poll,
}
