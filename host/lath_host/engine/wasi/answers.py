"""Which of a guest's WASI imports Python answers, and how."""

from __future__ import annotations

from typing import Final

from lath.names import InterfaceName
from lath.wit.types import Func
from lath_host.engine.wasi import Immediate, Waiting, clocks, denied, streams

_IMMEDIATE: Final = clocks.IMMEDIATE | streams.IMMEDIATE | denied.IMMEDIATE
_WHOLLY_OURS: Final = frozenset(
    {f"wasi:io/{name}" for name in ("error", "poll", "streams")}
    | {f"wasi:cli/{name}" for name in ("stdin", "stdout", "stderr")}
)
_DENIED_PACKAGES: Final = frozenset({"filesystem", "sockets"})


def is_ours(native: str) -> bool:
    """Whether an interface, resources included, is answered from Python.

    Args:
        native: Its name as wasmtime defines it.
    """
    name = InterfaceName.parse(native)
    return name.unversioned in _WHOLLY_OURS or name.package in _DENIED_PACKAGES


def answer_for(native: str, function: str, func: Func) -> tuple[Immediate | None, Waiting | None]:
    """What answers a function in wasmtime's place, at once or later; two Nones leave it native.

    Args:
        native: Its interface's name as wasmtime defines it.
        function: Its name.
        func: Its signature.
    """
    unversioned = InterfaceName.parse(native).unversioned
    waiting = clocks.WAITING.get((unversioned, function))
    if waiting is not None:
        return None, waiting
    immediate = _IMMEDIATE.get((unversioned, function))
    if immediate is None and is_ours(native):
        immediate = denied.refusal(unversioned, function, func)
    return immediate, None
