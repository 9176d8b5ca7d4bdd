"""The bytes of a connection: the streams that a guest reads and writes, over a socket of the system's.

What is read is taken from the system when the guest asks for it, so a guest that does not read holds its peer
back. What is written goes to the system at once; of what that does not take, one write is kept, and the guest
may write no more until it is through.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from lath_host.engine.sockets.codes import code_of
from lath_host.engine.sockets.descriptor import Descriptor
from lath_host.engine.values.local import Local
from lath_host.engine.wasi.poll import CallOff, Signal, Wake
from lath_host.engine.wasi.streams import InputStream, IoError, OutputStream, StreamClosed, StreamFailed

WRITE_BYTES_MAX: Final = 65_536
"""What a guest may write in one go, and what is kept for one connection at most."""
LINGER_SECONDS_MAX: Final = 4.0
"""How long what a guest has written may take to leave after the guest has dropped the socket, or has ended:
less than the end of its component waits."""

Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a task that may end after the guest."""


class Connection:
    """A connection that is there.

    Args:
        descriptor: Its socket.
        linger: Starts what waits where something is left to write when it is closed.
        closed: Called once nothing is left, or has waited too long: closes the socket.
    """

    def __init__(self, descriptor: Descriptor, linger: Spawn, closed: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._linger = linger
        self._closed = closed
        self._unread = False
        self._unwritten = False
        self._closing = False
        self._left = memoryview(b"")
        self._read_failure: OSError | None = None
        self._write_failure: OSError | None = None
        self._call_off: CallOff = bool
        self._written = Signal()

    # -- reading ---------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Whether `read` would say anything."""
        return self._unread or self._descriptor.readable()

    def watch_readable(self, wake: Wake) -> CallOff:
        """Has `wake` called once it may be readable."""
        return self._descriptor.watch_readable(wake)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none where there are none yet.

        Raises:
            StreamClosed, StreamFailed: There will be no more.
        """
        if self._unread or self._descriptor.closed:
            raise StreamClosed
        if not size:
            return b""
        try:
            data = self._descriptor.system.recv(size)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            self._unread = True
            raise _failed(error) from None
        if not data:
            self._unread = True
            raise StreamClosed
        return data

    def end_reading(self) -> None:
        """The guest reads no more of it."""
        if not self._unread:
            self._unread = True
            self._shut(socket.SHUT_RD)

    # -- writing ---------------------------------------------------------------------------------------------

    def writable(self) -> bool:
        """Whether `room` would say anything but 0."""
        return not self._left

    def watch_writable(self, wake: Wake) -> CallOff:
        """Has `wake` called once it is writable."""
        return self._written.watch(wake)

    def room(self) -> int:
        """How many bytes the guest may write now.

        Raises:
            StreamClosed, StreamFailed: It may write no more.
        """
        failure, self._write_failure = self._write_failure, None
        if failure is not None:
            raise _failed(failure)
        if self._unwritten:
            raise StreamClosed
        return 0 if self._left else WRITE_BYTES_MAX

    def write(self, data: bytes) -> None:
        """Takes what there is room for. Raises what `room` does."""
        self.room()
        if not data:
            return
        self._left = memoryview(data)
        self._send()
        if self._left:
            self._call_off = self._descriptor.watch_writable(self._send)
        elif self._write_failure is not None:
            self.room()

    def end_writing(self) -> None:
        """The guest writes no more: the peer sees the end once all that was written is through."""
        if not self._unwritten:
            self._unwritten = True
            if not self._left:
                self._shut(socket.SHUT_WR)

    def close(self) -> None:
        """Nobody needs it any more."""
        if self._closing:
            return
        self._unread = self._closing = True
        self.end_writing()
        if self._left:
            self._linger(self._close_once_written())
        else:
            self._closed()

    def _send(self) -> None:
        try:
            sent = self._descriptor.system.send(self._left)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._write_failure, self._unwritten = error, True
            self._end_of_left()
            return
        self._left = self._left[sent:]
        if not self._left:
            self._end_of_left()

    def _end_of_left(self) -> None:
        self._left = memoryview(b"")
        self._call_off()
        self._call_off = bool
        if self._unwritten and self._write_failure is None:
            self._shut(socket.SHUT_WR)
        self._written.notify()

    async def _close_once_written(self) -> None:
        through = asyncio.Event()
        call_off = self._written.watch(through.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS_MAX):
                    await through.wait()
        finally:
            call_off()
            self._closed()

    def _shut(self, how: int) -> None:
        with suppress(OSError):  # the peer, or the guest, has ended it before
            self._descriptor.system.shutdown(how)


class ConnectionInput(InputStream):
    """What a guest reads of a connection.

    Args:
        connection: Which.
        parent: Its socket.
    """

    def __init__(self, connection: Connection, parent: Local) -> None:
        super().__init__(parent)
        self._connection = connection

    def ready(self) -> bool:
        return self._connection.readable()

    def watch(self, wake: Wake) -> CallOff:
        return self._connection.watch_readable(wake)

    def take(self, size: int) -> bytes:
        return self._connection.read(size)


class ConnectionOutput(OutputStream):
    """What a guest writes to a connection.

    Args:
        connection: Which.
        parent: Its socket.
    """

    def __init__(self, connection: Connection, parent: Local) -> None:
        super().__init__(parent)
        self._connection = connection

    def ready(self) -> bool:
        return self._connection.writable()

    def watch(self, wake: Wake) -> CallOff:
        return self._connection.watch_writable(wake)

    def room(self) -> int:
        return self._connection.room()

    def put(self, data: bytes) -> None:
        self._connection.write(data)

    def end(self) -> None:
        super().end()
        self._connection.end_writing()


def _failed(error: OSError) -> StreamFailed:
    return StreamFailed(IoError(error.strerror or str(error), code_of(error)))
