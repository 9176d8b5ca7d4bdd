"""What guests print: cut into lines and handed to a log callback on the event loop, never blocking."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from lath_host import capi

Log = Callable[[str, str], None]
"""(stream, line): stream is `stdout` or `stderr`."""

LINE_BYTES_MAX: Final = 8192
"""A longer line is cut: a guest may print without ever ending one."""


class _Lines:
    """One output stream of one store, cut into lines."""

    def __init__(self, stream: str, emit: Callable[[str, str], None]) -> None:
        self.last = ""
        self._stream = stream
        self._emit = emit
        self._rest = b""

    def write(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        while len(rest) > LINE_BYTES_MAX:
            self._line(rest[:LINE_BYTES_MAX])
            rest = rest[LINE_BYTES_MAX:]
        self._rest = rest

    def end(self) -> None:
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def _line(self, line: bytes) -> None:
        for start in range(0, len(line) or 1, LINE_BYTES_MAX):
            self.last = line[start : start + LINE_BYTES_MAX].decode(errors="replace").rstrip("\r")
            self._emit(self._stream, self.last)


class GuestOutput:
    """The output of all stores of one component. Owned by its linkage, which outlives every store.

    Args:
        log: Gets each line, on the event loop.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._streams: dict[int, _Lines] = {}
        self._tokens = itertools.count(1)
        # wasmtime keeps their addresses: they live as long as this object
        self._on_write = capi.OutputCallback(self._write)
        self._on_end = capi.Finalizer(self._end)

    def attach(self, wasi_config: int) -> Callable[[], str]:
        """Connects a store's stdout and stderr; returns what tells its last line on stderr."""
        write, end = capi.address(self._on_write), capi.address(self._on_end)
        token, stderr_token = next(self._tokens), next(self._tokens)
        self._streams[token] = _Lines("stdout", self._emit)
        self._streams[stderr_token] = stderr = _Lines("stderr", self._emit)
        capi.wasi_config_set_stdout_custom(wasi_config, write, token, end)
        capi.wasi_config_set_stderr_custom(wasi_config, write, stderr_token, end)
        return lambda: stderr.last

    def _write(self, token: int, data: int, size: int) -> int:
        with suppress(BaseException):  # nothing may escape into wasmtime: it would end the process
            self._streams[token].write(ctypes.string_at(data, size))
        return size

    def _end(self, token: int) -> None:
        with suppress(BaseException):
            self._streams.pop(token).end()

    def _emit(self, stream: str, line: str) -> None:
        if threading.get_ident() == self._loop_thread:
            self._loop.call_soon(self._log, stream, line)
        else:
            self._loop.call_soon_threadsafe(self._log, stream, line)
