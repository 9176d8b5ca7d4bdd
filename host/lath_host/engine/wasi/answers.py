"""Which of a guest's imports the host answers itself, and how."""

from __future__ import annotations

from typing import Final

from lath.wit.types import Func
from lath_host.engine.blobs import incoming, listing
from lath_host.engine.blobs import outgoing as outgoing_values
from lath_host.engine.http import fields as http_fields
from lath_host.engine.http import outgoing, requests, responses
from lath_host.engine.sockets import lookup, tcp, udp
from lath_host.engine.wasi import (
    Answer,
    Forward,
    clocks,
    denied,
    is_ours,
    native_interface,
    poll,
    program,
    streams,
)  # fmt: skip

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
    | outgoing_values.ANSWERS
    | incoming.ANSWERS
    | lookup.ANSWERS
    | tcp.ANSWERS
    | udp.ANSWERS
)


_CONTAINER: Final = "wasi:blobstore/container"
_FORWARDS: Final[dict[tuple[str, str], Forward]] = {
    (_CONTAINER, "[method]container.write-data"): outgoing_values.write_data,
    (_CONTAINER, "[method]container.get-data"): incoming.get_data,
    (_CONTAINER, "[method]container.list-objects"): listing.list_objects,
}


def forward_for(interface: str, function: str) -> Forward | None:
    """What stands between a guest and who answers a linked function; None: nothing does.

    Args:
        interface: Its interface, or what that implements.
        function: Its name.
    """
    return _FORWARDS.get((interface.partition("@")[0], function))


def answer_beside(interface: str, function: str) -> Answer | None:
    """What answers a function of a linked interface that is the host's own all the same; None: the link does.

    Args:
        interface: Its interface, or what that implements.
        function: Its name.
    """
    return listing.ANSWERS.get((interface.partition("@")[0], function))


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


def is_answered(interface: str, function: str, func: Func) -> bool:
    """Whether the host answers a function itself.

    Args:
        interface: Its interface, or what that implements.
        function: Its name.
        func: Its signature.
    """
    native = native_interface(interface)
    return native is not None and answer_for(native, function, func) is not None
