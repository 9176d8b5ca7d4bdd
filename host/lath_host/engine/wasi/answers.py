"""Which of a guest's imports the host answers itself, and how."""

from __future__ import annotations

from typing import Final

from lath.wit.types import Func
from lath_host.engine.http import fields as http_fields
from lath_host.engine.http import outgoing, requests, responses
from lath_host.engine.sockets import lookup, tcp, udp
from lath_host.engine.wasi import Answer, clocks, denied, is_ours, poll, program, streams

_ANSWERS: Final = (
    clocks.ANSWERS
    | poll.ANSWERS
    | streams.ANSWERS
    | program.ANSWERS
    | denied.ANSWERS
    | http_fields.ANSWERS
    | requests.ANSWERS
    | responses.ANSWERS
    | outgoing.ANSWERS
    | lookup.ANSWERS
    | tcp.ANSWERS
    | udp.ANSWERS
)


def answer_for(native: str, function: str, func: Func) -> Answer | None:
    """What answers a function of WASI; None leaves it native.

    Args:
        native: Its interface's name as wasmtime defines it.
        function: Its name.
        func: Its signature.
    """
    unversioned = native.partition("@")[0]
    answer = _ANSWERS.get((unversioned, function))
    if answer is None and is_ours(native):
        return denied.refusal(unversioned, function, func)
    return answer
