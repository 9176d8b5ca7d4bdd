"""Time: the monotonic clock and its pollables."""

from __future__ import annotations

import time
from typing import Any, Final

from lath_host.engine.wasi import Answer, WasiGuest
from lath_host.engine.wasi.poll import Pollable, Timer

_RESOLUTION_NS: Final = 1


def _now(guest: WasiGuest, params: list[Any]) -> int:
    return time.monotonic_ns()


def _resolution(guest: WasiGuest, params: list[Any]) -> int:
    return _RESOLUTION_NS


def _at(guest: WasiGuest, params: list[Any]) -> Pollable:
    return Pollable(Timer(params[0]))


def _after(guest: WasiGuest, params: list[Any]) -> Pollable:
    return Pollable(Timer(time.monotonic_ns() + params[0]))


ANSWERS: Final = {
    ("wasi:clocks/monotonic-clock", "resolution"): Answer(_resolution, anywhere=True),
    ("wasi:clocks/monotonic-clock", "now"): Answer(_now, anywhere=True),
    ("wasi:clocks/monotonic-clock", "subscribe-instant"): Answer(_at, anywhere=True),
    ("wasi:clocks/monotonic-clock", "subscribe-duration"): Answer(_after, anywhere=True),
}
