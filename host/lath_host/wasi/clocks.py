"""Waiting, from Python: pollables and the monotonic clock.

wasmtime's native timers want a Tokio runtime around the poll, which the C API does not give: the first
guest that sleeps aborts the process ("there is no reactor running"). So pollables are ours. It is the
better way anyhow: a sleeping guest waits on the event loop's timers, to the point, and is not polled
meanwhile.

A pollable's data is the monotonic time at which it is due, 8 bytes; empty: ready from the start. Streams of
a guest are never empty-handed (its output is taken at once, its input is at its end), so their pollables
are always ready.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgpack import ExtType

from lath.errors import Trap
from lath.wit.types import Func, Handle
from lath_host.values.lower import HANDLE_CODE

POLL: Final = "wasi:io/poll"
POLLABLE: Final = "pollable"
_CLOCK: Final = "wasi:clocks/monotonic-clock"
_DUE: Final = struct.Struct("<Q")
_NS_PER_S: Final = 1_000_000_000
_U64_MAX: Final = (1 << 64) - 1
_SLEEP_SECONDS_MAX: Final = 86_400.0
"""Longer waits are cut into pieces: timers of the event loop overflow on absurd values."""

Immediate = Callable[[list[Any]], Any]
Waiting = Callable[[list[Any]], Awaitable[Any]]


def immediate_for(interface: str, function: str, func: Func) -> Immediate | None:
    """What answers a native function at once in wasmtime's place; None to leave it native.

    Args:
        interface: Its name without the version.
        function: Its name.
        func: Its signature.
    """
    if interface == _CLOCK:
        return {"now": _now, "subscribe-instant": _at, "subscribe-duration": _after}.get(function)
    if interface == POLL:
        return _ready if function == "[method]pollable.ready" else None
    if isinstance(func.result, Handle) and func.result.resource == POLLABLE:
        return lambda params: ExtType(HANDLE_CODE, b"")
    return None


def waiting_for(interface: str, function: str) -> Waiting | None:
    """What answers a native function, once it may, in wasmtime's place; None to leave it native."""
    if interface != POLL:
        return None
    return {"poll": _poll, "[method]pollable.block": _block}.get(function)


def _now(params: list[Any]) -> int:
    return time.monotonic_ns()


def _at(params: list[Any]) -> ExtType:
    return ExtType(HANDLE_CODE, _DUE.pack(params[0]))


def _after(params: list[Any]) -> ExtType:
    return ExtType(HANDLE_CODE, _DUE.pack(min(time.monotonic_ns() + params[0], _U64_MAX)))


def _due(pollable: ExtType) -> int:
    return _DUE.unpack(pollable.data)[0] if pollable.data else 0


def _ready(params: list[Any]) -> bool:
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
        raise Trap("poll was given an empty list")
    dues = [_due(pollable) for pollable in params[0]]
    await _until(min(dues))
    now = time.monotonic_ns()
    return [index for index, due in enumerate(dues) if due <= now]
