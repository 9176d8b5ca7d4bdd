"""What a guest has not: files and a network. Its calls fail as WASI says that they may, or else trap.

A component reaches the world through its links, so nothing is opened here for anybody.
"""

from __future__ import annotations

from typing import Any, Final

from msgpack import ExtType

from lath.codec import PROVIDER_RESOURCE
from lath.errors import PermissionDenied
from lath.wit.types import Enum, Func, ResultOf
from lath_host.engine.wasi import Immediate, Printer

_REFUSALS: Final = ("access-denied", "access", "not-permitted", "unsupported")
"""The error codes that say so, best first (sockets, files, either)."""

_NETWORK: Final = ExtType(PROVIDER_RESOURCE, b"")

IMMEDIATE: Final[dict[tuple[str, str], Immediate]] = {
    ("wasi:filesystem/preopens", "get-directories"): lambda guest, params: [],
    ("wasi:filesystem/types", "filesystem-error-code"): lambda guest, params: None,
    ("wasi:sockets/instance-network", "instance-network"): lambda guest, params: ExtType(
        PROVIDER_RESOURCE, b""
    ),
}


def refusal(interface: str, function: str, func: Func) -> Immediate:
    """What answers a function that is not there: its own error code where it has one, else a trap."""
    if isinstance(func.result, ResultOf) and isinstance(func.result.err, Enum):
        for code in _REFUSALS:
            if code in func.result.err.cases:
                return lambda guest, params: {"err": code}

    def trap(guest: Printer, params: list[Any]) -> Any:
        raise PermissionDenied(f"{interface} {function}: guests have no files and no network of their own")

    return trap
