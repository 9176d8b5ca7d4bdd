"""WASI 0.2 for guests: native where it computes, Python where it waits, prints or reaches out.

Native, wasmtime's own: random, wall clock, the monotonic clock's resolution, environment (empty), arguments
(none), exit, terminals (none). From Python: `clocks` (time and pollables), `streams` (what a guest prints),
`denied` (no directory, no network).

Why not all of it native: behind the C API wasmtime's timers abort the process (they want a Tokio runtime
around the poll, and there is none: "there is no reactor running"), and a custom stdout is written by a
Tokio thread, which the guest can only be polled for, and which calls into Python while the interpreter
ends. Native and Python pollables do not mix (one type each), and whatever mentions a pollable or a stream
has to come along. What is won: a sleeping guest waits on the event loop's timers, to the point, and nothing
is polled for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from lath.errors import InvalidArgument
from lath.names import InterfaceName, versions_compatible

NATIVE_VERSION: Final = "0.2.12"
"""The version under which wasmtime 50.0.1 defines its WASI; a component may ask for any 0.2.x."""
_NATIVE_PACKAGES: Final = frozenset({"io", "clocks", "random", "cli", "filesystem", "sockets"})


class Printer(Protocol):
    """The guest, as far as WASI needs it."""

    def print(self, stream: str, data: bytes) -> None:
        """Takes what the guest writes to `stdout` or `stderr`."""


Immediate = Callable[[Printer, list[Any]], Any]
"""Answers an import at once: (guest, wire values) -> wire value."""
Waiting = Callable[[list[Any]], Awaitable[Any]]
"""Answers an import once it may: (wire values) -> wire value."""


def is_later_wasi(name: str) -> bool:
    """Whether an interface belongs to a later WASI (0.3) than the one that is here.

    Args:
        name: As it stands in a component: `wasi:clocks/monotonic-clock@0.3.0`.
    """
    try:
        parsed = InterfaceName.parse(name)
    except InvalidArgument:
        return False
    if parsed.namespace != "wasi" or parsed.package not in _NATIVE_PACKAGES or not parsed.version:
        return False
    return not versions_compatible(parsed.version.partition("-")[0], NATIVE_VERSION)


def native_interface(name: str) -> str | None:
    """Under which name wasmtime defines an interface; None when it does not.

    Args:
        name: As it stands in a component: `wasi:io/poll@0.2.3`.
    """
    try:
        parsed = InterfaceName.parse(name)
    except InvalidArgument:
        return None
    if parsed.namespace != "wasi" or parsed.package not in _NATIVE_PACKAGES:
        return None
    if not parsed.version.startswith("0.2.") or "-" in parsed.version:
        return None
    return f"{parsed.unversioned}@{NATIVE_VERSION}"
