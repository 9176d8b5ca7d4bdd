"""A transport that sends the writes of one turn of the event loop together, and a flow that stays paused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from uvicorn.protocols.http.flow_control import FlowControl

GATHER_BYTES_MAX: Final = 64 * 1024
"""More than this is sent at once: it is what a transport holds before it tells its protocol to pause."""


class GatheringTransport(asyncio.Transport):
    """Head, body and end of a small response leave in one packet, by one system call.

    Args:
        transport: The connection's own.
    """

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        super().__init__()
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._waiting:
            if len(data) >= GATHER_BYTES_MAX:
                self.send(bytes(data))
                return
            self._loop.call_soon(self.flush)
        self._waiting.append(bytes(data))
        self._size += len(data)
        if self._size >= GATHER_BYTES_MAX:
            self.flush()

    def send(self, data: bytes) -> None:
        """Sends at once, behind what was gathered."""
        if self._waiting:
            self.write(data)
            self.flush()
        elif not self._transport.is_closing():
            self._transport.write(data)

    def flush(self) -> None:
        """Sends what was gathered."""
        if self._waiting:
            data, self._waiting, self._size = b"".join(self._waiting), [], 0
            if not self._transport.is_closing():
                self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._waiting, self._size = [], 0
        self._transport.abort()

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        self.flush()
        with suppress(OSError):  # the client has gone, and the loop has not heard of it yet
            self._transport.write_eof()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._size + self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


class GuardedFlow(FlowControl):
    """Reads on only where its connection has a use for more.

    Args:
        transport: What is paused.
        may_read: Whether more may be read now.
    """

    def __init__(self, transport: asyncio.Transport, may_read: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._may_read = may_read

    def resume_reading(self) -> None:
        if self._may_read():
            super().resume_reading()
