"""`wasi:io/streams` and the three standard streams: what is written goes to the log, stdin is at its end.

Output is taken at once, so no stream ever has to be waited for. The data of an output stream's handle is
its name.
"""

from __future__ import annotations

from typing import Any, Final

from msgpack import ExtType

from lath.codec import PROVIDER_RESOURCE
from lath_host.engine.wasi import Immediate, Printer
from lath_host.engine.wasi.clocks import READY

WRITE_BYTES_MAX: Final = 65_536
"""What a guest may write in one go."""
_CLOSED: Final = {"err": {"closed": None}}


def _stream(name: bytes) -> Immediate:
    handle = ExtType(PROVIDER_RESOURCE, name)
    return lambda guest, params: handle


def _write(guest: Printer, params: list[Any]) -> dict[str, None]:
    guest.print(params[0].data.decode(), params[1])
    return {"ok": None}


def _write_zeroes(guest: Printer, params: list[Any]) -> dict[str, None]:
    guest.print(params[0].data.decode(), bytes(min(params[1], WRITE_BYTES_MAX)))
    return {"ok": None}


def _nothing_to_do(guest: Printer, params: list[Any]) -> dict[str, None]:
    return {"ok": None}


def _room(guest: Printer, params: list[Any]) -> dict[str, int]:
    return {"ok": WRITE_BYTES_MAX}


def _closed(guest: Printer, params: list[Any]) -> dict[str, Any]:
    return _CLOSED


def _always_ready(guest: Printer, params: list[Any]) -> ExtType:
    return READY


_OUTPUT: Final = "[method]output-stream."
_INPUT: Final = "[method]input-stream."
_STREAMS: Final[dict[str, Immediate]] = {
    _OUTPUT + "check-write": _room,
    _OUTPUT + "write": _write,
    _OUTPUT + "blocking-write-and-flush": _write,
    _OUTPUT + "flush": _nothing_to_do,
    _OUTPUT + "blocking-flush": _nothing_to_do,
    _OUTPUT + "write-zeroes": _write_zeroes,
    _OUTPUT + "blocking-write-zeroes-and-flush": _write_zeroes,
    _OUTPUT + "splice": _closed,
    _OUTPUT + "blocking-splice": _closed,
    _OUTPUT + "subscribe": _always_ready,
    _INPUT + "read": _closed,
    _INPUT + "blocking-read": _closed,
    _INPUT + "skip": _closed,
    _INPUT + "blocking-skip": _closed,
    _INPUT + "subscribe": _always_ready,
}
IMMEDIATE: Final[dict[tuple[str, str], Immediate]] = {
    ("wasi:cli/stdin", "get-stdin"): _stream(b"stdin"),
    ("wasi:cli/stdout", "get-stdout"): _stream(b"stdout"),
    ("wasi:cli/stderr", "get-stderr"): _stream(b"stderr"),
    ("wasi:io/error", "[method]error.to-debug-string"): lambda guest, params: "the stream failed",
} | {("wasi:io/streams", name): answer for name, answer in _STREAMS.items()}
