"""WASI 0.2 for guests: native where it computes, Python where it waits, prints or reaches out.

Native, wasmtime's own: random, wall clock, the monotonic clock's resolution, environment and arguments
(`environment` gives them), exit, terminals (none). From Python: `clocks` and `poll` (time and waiting),
`streams`, `program` (what a guest prints, and reads), `denied` (no directory). `wasi:http` and
`wasi:sockets`, of which wasmtime's C API has nothing that can be used, are beside them in
`lath_host.engine.http` and `lath_host.engine.sockets`.

Why not all of it native: behind the C API wasmtime's timers abort the process (they want a Tokio runtime
around the poll, and there is none: "there is no reactor running"), and a custom stdout is written by a
Tokio thread, which the guest can only be polled for, and which calls into Python while the interpreter
ends. Native and Python pollables do not mix (one type each), and whatever mentions a pollable or a stream
has to come along. What is won: a sleeping guest waits on the event loop's timers, to the point, and nothing
is polled for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from lath.errors import InvalidArgument
from lath.names import InterfaceName, versions_compatible
from lath_host.engine.surroundings import Surroundings
from lath_host.engine.values.local import Kept

if TYPE_CHECKING:
    from lath_host.engine.sockets.guest_sockets import GuestSockets
    from lath_host.engine.wasi.standard import Standard

NATIVE_VERSION: Final = "0.2.12"
"""The version under which wasmtime 50.0.1 defines its WASI; a component may ask for any 0.2.x."""
_NATIVE_PACKAGES: Final = frozenset({"io", "clocks", "random", "cli", "filesystem", "sockets", "http"})
_HTTP: Final = frozenset({"wasi:http/types", "wasi:http/outgoing-handler"})
"""What a host answers of that package: an `incoming-handler` that is imported is another component."""
_WHOLLY_OURS: Final = _HTTP | {
    *(f"wasi:io/{name}" for name in ("error", "poll", "streams")),
    *(f"wasi:cli/{name}" for name in ("stdin", "stdout", "stderr")),
}
_OUR_PACKAGES: Final = frozenset({"filesystem", "sockets"})
BLOB_TYPES: Final = "wasi:blobstore/types@0.2.0-draft"
"""Of no package that wasmtime has, and the host's own all the same: values pass through native streams."""
_OUR_RESOURCES: Final = frozenset({("wasi:blobstore/container", "stream-object-names")})
"""Of interfaces that are otherwise linked: (interface, resource)."""


_NAMES_KEPT: Final = 1024
"""Of the answers about names, which are asked for with every handle that is made."""


class WasiGuest(Protocol):
    """The guest, as far as WASI needs it."""

    @property
    def surroundings(self) -> Surroundings:
        """What it is given, and whom it may reach."""

    @property
    def standard(self) -> Standard | None:
        """What it finds for this call in place of its component's; None: nothing."""

    @property
    def sockets(self) -> GuestSockets:
        """What it has of the network. Raises SocketFailure where that is nothing."""

    @property
    def kept(self) -> Kept:
        """What the host keeps for it outside its memory."""

    def print(self, stream: str, data: bytes) -> None:
        """Takes what the guest writes to `stdout` or `stderr`."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Starts a task that ends with the guest."""

    def spawn_lasting(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts a task that may end after the guest; the end of its component waits for it, for a while."""


WAIT: Final = object()
"""Says, in place of an answer, that there is none without waiting."""
Immediate = Callable[[WasiGuest, list[Any]], Any]
"""Answers an import at once: (guest, wire values) -> wire value, or `WAIT`."""
Waiting = Callable[[WasiGuest, list[Any]], Awaitable[Any]]
"""Answers an import once it may: (guest, wire values) -> wire value."""


Ask = Callable[[list[Any]], Awaitable[Any]]
"""Has a link's target answer an import: wire values both ways, and a `ByteStream` for what travels as one."""
Forward = Callable[[WasiGuest, list[Any], Ask], Awaitable[Any]]
"""Stands between a guest and a link's target: (guest, wire values, what asks the target) -> wire value."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a function is answered.

    Attributes:
        at_once: What answers it without waiting; None: nothing does.
        later: What answers it where that says `WAIT`.
        anywhere: Whether `at_once` may run in the thread that polls a busy guest. Otherwise it runs on the
            loop, like everything that touches a `Local`.
    """

    at_once: Immediate | None = None
    later: Waiting | None = None
    anywhere: bool = False

    async def given(self, guest: WasiGuest, params: list[Any]) -> Any:
        """The answer, on the loop."""
        value = self.at_once(guest, params) if self.at_once else WAIT
        return await self.later(guest, params) if value is WAIT and self.later else value


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


@lru_cache(_NAMES_KEPT)
def native_interface(name: str) -> str | None:
    """Under which name the host defines an interface of WASI; None when it does not.

    Args:
        name: As it stands in a component: `wasi:io/poll@0.2.3`.
    """
    try:
        parsed = InterfaceName.parse(name)
    except InvalidArgument:
        return None
    if name == BLOB_TYPES:
        return name
    if parsed.namespace != "wasi" or parsed.package not in _NATIVE_PACKAGES:
        return None
    if not parsed.version.startswith("0.2.") or "-" in parsed.version:
        return None
    if parsed.package == "http" and parsed.unversioned not in _HTTP:
        return None
    return f"{parsed.unversioned}@{NATIVE_VERSION}"


@lru_cache(_NAMES_KEPT)
def is_ours(native: str) -> bool:
    """Whether an interface, resources included, is answered from Python.

    Args:
        native: Its name as the host defines it.
    """
    name = InterfaceName.parse(native)
    return native == BLOB_TYPES or name.unversioned in _WHOLLY_OURS or name.package in _OUR_PACKAGES


@lru_cache(_NAMES_KEPT)
def is_our_resource(name: str, resource: str) -> bool:
    """Whether the handles of an imported resource stand for objects of the host.

    Args:
        name: Its interface, as it stands in a component, or what that implements.
        resource: Its name.
    """
    native = native_interface(name)
    if native is not None:
        return is_ours(native)
    return (name.partition("@")[0], resource) in _OUR_RESOURCES
