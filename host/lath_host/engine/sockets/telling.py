"""Guests are told what became of what they asked: a value, or an `error-code`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lath_host.engine.sockets.codes import SocketFailure, code_of
from lath_host.engine.wasi import Immediate, WasiGuest
from lath_host.engine.wasi.streams import IoError


def told(work: Callable[[WasiGuest, list[Any]], Any]) -> Immediate:
    """What answers with the outcome of `work`."""

    def answer(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
        try:
            return {"ok": work(guest, params)}
        except (SocketFailure, OSError) as error:
            return {"err": code_of(error)}

    return answer


def network_error_code(guest: WasiGuest, params: list[Any]) -> str | None:
    """What a stream's error was, where it was one of a socket."""
    error: IoError = params[0]
    return error.code if isinstance(error.code, str) else None
