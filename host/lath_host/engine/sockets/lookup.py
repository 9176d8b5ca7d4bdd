"""`wasi:sockets/ip-name-lookup`, and the handle of the network: names that a component was given, no other.

An address in place of a name is given back as it is. What a name leads to is told as far as some rule lets it
be reached, and is remembered as the name's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from ipaddress import ip_address
from typing import Any, Final

from lath.errors import InvalidArgument
from lath_host.engine.sockets.codes import SocketFailure
from lath_host.engine.sockets.endpoints import address_to_wire
from lath_host.engine.sockets.guest_sockets import GUEST_LOOKUPS_MAX, GuestSockets
from lath_host.engine.sockets.telling import network_error_code, told
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, WasiGuest
from lath_host.engine.wasi.poll import CallOff, Pollable, Signal, Wake
from lath_host.outbound.addresses import Address, parse_host


class AddressStream(Local):
    """The addresses of a name, one by one.

    Args:
        sockets: Whose look-up it is.
    """

    def __init__(self, sockets: GuestSockets) -> None:
        super().__init__()
        self._sockets = sockets
        self._sockets.lookups += 1
        self._left: deque[Address] = deque()
        self._failure: Exception | None = None
        self._work: asyncio.Task[tuple[Address, ...]] | None = None
        self._done = Signal()

    def give(self, addresses: tuple[Address, ...]) -> None:
        """They are known."""
        self._left.extend(addresses)

    def wait_for(self, work: asyncio.Task[tuple[Address, ...]]) -> None:
        """They are what a task gives."""
        self._work = work
        work.add_done_callback(self._on_done)

    def next(self) -> dict[str, Any] | None:
        if not self.ready():
            raise SocketFailure("would-block")
        if self._failure is not None:
            raise self._failure
        return address_to_wire(self._left.popleft()) if self._left else None

    def ready(self) -> bool:
        """Whether they are known (poll.Watched)."""
        return self._work is None

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once they are (poll.Watched)."""
        return self._done.watch(wake)

    def end(self) -> None:
        super().end()
        self._sockets.lookups -= 1
        if self._work is not None:
            self._work.cancel()

    def _on_done(self, work: asyncio.Task[tuple[Address, ...]]) -> None:
        self._work = None
        if work.cancelled():
            self._failure = SocketFailure("temporary-resolver-failure")
        elif isinstance(error := work.exception(), Exception):
            self._failure = error
        else:
            self.give(work.result())
        self._done.notify()


def _resolve(guest: WasiGuest, params: list[Any]) -> AddressStream:
    sockets: GuestSockets = guest.sockets
    if sockets.lookups >= GUEST_LOOKUPS_MAX:
        raise SocketFailure("temporary-resolver-failure")
    host = _parse(params[1])
    stream = AddressStream(sockets)
    try:
        if not isinstance(host, str):
            stream.give((host,))
        elif not sockets.network.rules.may_look_up(host):
            raise sockets.network.denied(f"the look-up of {host}", f"{host}:*")
        else:
            stream.wait_for(guest.spawn(_look_up(sockets, host)))
    except BaseException:
        stream.end()
        raise
    return stream


def _parse(name: str) -> Address | str:
    """An address as it is, a name in its one form."""
    try:
        return ip_address(name.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        pass
    try:
        return parse_host(name if name.isascii() else name.encode("idna").decode("ascii"))
    except (InvalidArgument, UnicodeError):
        raise SocketFailure("invalid-argument") from None


async def _look_up(sockets: GuestSockets, name: str) -> tuple[Address, ...]:
    """Those that the guest is told."""
    addresses = await sockets.network.lookups.look_up(name)
    told_ = tuple(each for each in addresses if sockets.network.rules.may_tell(name, each))
    if not addresses:
        raise SocketFailure("name-unresolvable")
    if not told_:
        address = addresses[0]
        pattern = f"[{address}]:*" if address.version == 6 else f"{address}:*"
        raise sockets.network.denied(f"{name}, which leads to {address}", pattern)
    sockets.learn(name, told_)
    return told_


ANSWERS: Final = {
    ("wasi:sockets/instance-network", "instance-network"): Answer(lambda guest, params: Local()),
    ("wasi:sockets/network", "network-error-code"): Answer(network_error_code),
    ("wasi:sockets/ip-name-lookup", "resolve-addresses"): Answer(told(_resolve)),
    ("wasi:sockets/ip-name-lookup", "[method]resolve-address-stream.resolve-next-address"): Answer(
        told(lambda guest, params: params[0].next())
    ),
    ("wasi:sockets/ip-name-lookup", "[method]resolve-address-stream.subscribe"): Answer(
        lambda guest, params: Pollable(params[0], params[0])
    ),
}
