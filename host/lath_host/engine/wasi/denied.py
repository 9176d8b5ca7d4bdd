"""What a guest has not: files. Its calls fail as WASI says that they may, or else trap.

A component reaches the world through its links, so nothing is opened here for anybody.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from lath.errors import PermissionDenied
from lath.wit.types import Enum, Func, ResultOf
from lath_host.engine.wasi import Answer, WasiGuest

_REFUSALS: Final = ("access", "access-denied", "not-permitted", "unsupported")
"""The error codes that say so, best first."""

ANSWERS: Final = {
    ("wasi:filesystem/preopens", "get-directories"): Answer(lambda guest, params: []),
    ("wasi:filesystem/types", "filesystem-error-code"): Answer(lambda guest, params: None),
}


def _refuse(code: str, guest: WasiGuest, params: list[Any]) -> dict[str, str]:
    return {"err": code}


def refusal(interface: str, function: str, func: Func) -> Answer:
    """What answers a function that is not there: its own error code where it has one, else a trap."""
    if isinstance(func.result, ResultOf) and isinstance(func.result.err, Enum):
        for code in _REFUSALS:
            if code in func.result.err.cases:
                return Answer(partial(_refuse, code))

    def trap(guest: WasiGuest, params: list[Any]) -> Any:
        raise PermissionDenied(f"{interface} {function}: it is not there for guests of this host")

    return Answer(trap)
