"""`wasi:cli` for programs: the standard streams, and the way out with a number."""

from __future__ import annotations

from typing import Any, Final

from lath_host.engine.explain import Exited
from lath_host.engine.wasi import Answer, WasiGuest
from lath_host.engine.wasi.streams import InputStream, OutputStream, Printed


def _stdin(guest: WasiGuest, params: list[Any]) -> InputStream:
    return guest.standard.stdin() if guest.standard else InputStream()


def _stdout(guest: WasiGuest, params: list[Any]) -> OutputStream:
    return guest.standard.stdout() if guest.standard else Printed(guest, "stdout")


def _exit(guest: WasiGuest, params: list[Any]) -> None:
    """`exit-with-code`, which wasmtime's own WASI leaves out; it ends a guest as `exit` does."""
    raise Exited(params[0])


ANSWERS: Final = {
    ("wasi:cli/stdin", "get-stdin"): Answer(_stdin),
    ("wasi:cli/stdout", "get-stdout"): Answer(_stdout),
    ("wasi:cli/stderr", "get-stderr"): Answer(lambda guest, params: Printed(guest, "stderr")),
    ("wasi:cli/exit", "exit-with-code"): Answer(_exit, anywhere=True),
}
