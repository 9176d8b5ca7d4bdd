"""What a guest prints: cut into lines and handed to a log callback on the event loop, never blocking."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

Log = Callable[[str, str], None]
"""(stream, line): stream is `stdout` or `stderr`."""

RECENT_LINES: Final = 20
"""Kept to explain a trap: about what a language's runtime prints before it aborts."""
LINE_BYTES_MAX: Final = 8192
"""A longer line is cut: a guest may print without ever ending one."""


class OnLoop:
    """Hands lines to a log callback on the event loop, from whichever thread a guest prints in."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def __call__(self, stream: str, line: str) -> None:
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._log, stream, line)
        else:
            self._loop.call_soon_threadsafe(self._log, stream, line)


class Lines:
    """One output stream of one guest.

    Attributes:
        recent: The last lines.
    """

    def __init__(self, stream: str, emit: Log | None) -> None:
        self.recent: deque[str] = deque(maxlen=RECENT_LINES)
        self._stream = stream
        self._emit = emit
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Takes a piece of output, and emits the lines that it ends."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        while len(rest) > LINE_BYTES_MAX:
            self._line(rest[:LINE_BYTES_MAX])
            rest = rest[LINE_BYTES_MAX:]
        self._rest = rest

    def end(self) -> None:
        """Emits the line that was not ended."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def _line(self, line: bytes) -> None:
        for start in range(0, len(line) or 1, LINE_BYTES_MAX):
            text = line[start : start + LINE_BYTES_MAX].decode(errors="replace").rstrip("\r")
            self.recent.append(text)
            if self._emit is not None:
                self._emit(self._stream, text)
