"""What wasmtime says when a guest fails, turned into the error that its caller gets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lath.errors import LathError, LimitExceeded, Overloaded, Trap
from lath_host.engine.capi import WasmtimeFailure
from lath_host.engine.compose.adapters import NO_ROOM

_OUT_OF_MEMORY: Final = ("memory allocation of", "MemoryError", "out of memory")
"""What Rust, Python and others print when memory is denied them. wasmtime tells nobody that it denied
some."""
_MEMORY_DENIED: Final = ("exceeds memory limits", "GC heap out of memory", NO_ROOM)
_TRACE_LINES_MAX: Final = 12


class MemoryExceeded(LimitExceeded):
    """The guest was denied memory. On the wire it is a `limit_exceeded` like any other."""


class Exited(Trap):
    """The guest has ended itself. On the wire it is a `trap` like any other.

    Args:
        status: What it said: 0 where all is well.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the guest ended itself with exit status {status}")
        self.status = status


def ended_well(error: BaseException) -> bool:
    """Whether a program has ended itself, and says that all is well."""
    return isinstance(error, Exited) and error.status == 0


def explain(
    failure: WasmtimeFailure, complaints: Iterable[str], memory_bytes_max: int, fuel_max: int | None
) -> LathError:
    """The error that tells of `failure`.

    Args:
        failure: What wasmtime says.
        complaints: The last lines that the guest wrote to stderr.
        memory_bytes_max: The guest's limit.
        fuel_max: The guest's limit.
    """
    if failure.exit_status is not None:
        return Exited(failure.exit_status)
    text = failure.message
    if "all fuel consumed" in text:
        return LimitExceeded(f"the guest used up its fuel (fuel_max {fuel_max})")
    if "maximum concurrent" in text:
        return Overloaded(f"this host has no room for another instance: {first_line(_reason(text))}")
    says_so = any(sign in line for line in complaints for sign in _OUT_OF_MEMORY)
    if any(sign in text for sign in _MEMORY_DENIED) or says_so:
        return MemoryExceeded(
            f"the guest needs more memory than it may have (memory_bytes_max {memory_bytes_max})"
        )
    return Trap(_reason(text))


def first_line(text: str) -> str:
    """The first line that says something."""
    return text.strip().splitlines()[0] if text.strip() else "no reason given"


def _reason(text: str) -> str:
    """The cause first, then some of the backtrace."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip() not in ("", "Caused by:")]
    causes = [line.removeprefix("0: ").removeprefix("1: ") for line in lines if "wasm trap:" in line]
    shown = (causes[-1:] + [line for line in lines if line not in causes])[:_TRACE_LINES_MAX]
    return "; ".join(shown).replace("backtrace:; ", "backtrace: ") if shown else "no reason given"
