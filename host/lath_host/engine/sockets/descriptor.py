"""A socket of the system's that does not block, and who waits for it on the event loop."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from lath_host.engine.wasi.poll import CallOff, Wake

_BROKEN: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL


def new_system_socket(family: int, kind: int) -> socket.socket:
    """A new socket of the system's; one of IPv6 is of nothing else."""
    system = socket.socket(family, kind)
    if family == socket.AF_INET6:
        system.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return system


class _Watch:
    """Those who wait for one direction. The loop is asked only while there are any."""

    def __init__(self, begin: Callable[[Wake], object], end: Callable[[], object]) -> None:
        self._begin = begin
        self._end = end
        self._wakes: set[Wake] = set()

    def add(self, wake: Wake) -> CallOff:
        if not self._wakes:
            self._begin(self.notify)
        self._wakes.add(wake)
        return partial(self._discard, wake)

    def notify(self) -> None:
        for wake in tuple(self._wakes):
            wake()

    def clear(self) -> None:
        if self._wakes:
            self._end()
            self.notify()
            self._wakes.clear()

    def _discard(self, wake: Wake) -> None:
        if wake in self._wakes:
            self._wakes.discard(wake)
            if not self._wakes:
                self._end()


class Descriptor:
    """A socket that belongs to a guest.

    Args:
        system: The socket; closed with this.

    Attributes:
        system: As above.
    """

    def __init__(self, system: socket.socket) -> None:
        system.setblocking(False)
        self.system = system
        loop, number = asyncio.get_running_loop(), system.fileno()
        self._readers = _Watch(partial(loop.add_reader, number), partial(loop.remove_reader, number))
        self._writers = _Watch(partial(loop.add_writer, number), partial(loop.remove_writer, number))

    @property
    def closed(self) -> bool:
        return self.system.fileno() < 0

    def readable(self) -> bool:
        """Whether reading would say anything."""
        return self._polled(select.POLLIN)

    def writable(self) -> bool:
        """Whether writing would say anything."""
        return self._polled(select.POLLOUT)

    def watch_readable(self, wake: Wake) -> CallOff:
        """Has `wake` called once it may be readable."""
        return self._watched(self._readers, wake)

    def watch_writable(self, wake: Wake) -> CallOff:
        """Has `wake` called once it may be writable."""
        return self._watched(self._writers, wake)

    def close(self) -> None:
        """Closes it, and wakes those who wait for it."""
        if not self.closed:
            self._readers.clear()
            self._writers.clear()
            self.system.close()

    def _polled(self, events: int) -> bool:
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.system, events)
        return any(seen & (events | _BROKEN) for _, seen in poll.poll(0))

    def _watched(self, watch: _Watch, wake: Wake) -> CallOff:
        if self.closed:
            wake()
            return bool
        return watch.add(wake)
