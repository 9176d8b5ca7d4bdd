"""Calls whose outcome a keeper knows, so that the host need not hear of them before it is asked something.

They make an object and can do nothing but succeed; of some only the first call on an object can. The keeper
gives the new object a number of its own and puts the call in a log, as it does what the guest drops. The next
call that the host has to answer brings the log along. Nobody but the guest could tell the difference: what
shows outside, a head that is set, bytes that are written, is never put off.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeGuard

from lath.wit.types import Func, Handle, ResultOf, Type

ENTRY: Final = Struct("<III")
"""An entry of the log: what was called, the new object's number, that of the object given to the call."""
DROPPED: Final = 0
"""What stands in place of a call where the guest has dropped the object of that number."""
OWN_NUMBERS: Final = 1 << 30
"""Numbers from here on are the keeper's to give, those below the host's. A log of them is
ASCII as a rule, which need not be decoded."""

_ALWAYS: Final = {
    "wasi:http/types": (
        "[constructor]fields", "[constructor]outgoing-response", "[constructor]outgoing-request",
        "[constructor]request-options", "[method]incoming-request.headers",
        "[method]incoming-response.headers", "[method]outgoing-request.headers",
        "[method]outgoing-response.headers", "[method]future-trailers.subscribe",
        "[method]future-incoming-response.subscribe",
    ),
    "wasi:io/streams": ("[method]input-stream.subscribe", "[method]output-stream.subscribe"),
}  # fmt: skip
_FIRST: Final = {
    "wasi:http/types": (
        "[method]incoming-request.consume", "[method]incoming-response.consume",
        "[method]incoming-body.stream", "[method]outgoing-request.body", "[method]outgoing-response.body",
        "[method]outgoing-body.write",
    ),
}  # fmt: skip
DEFERRABLE: Final = tuple(
    (interface, function)
    for each in (_ALWAYS, _FIRST)
    for interface, names in each.items()
    for function in names
)
"""(interface, function): the log has them by their place here, from 1 on."""


def made_always(interface: str, function: str, func: Func) -> Handle | None:
    """What a function makes that cannot fail; None: it is none such."""
    if function not in _ALWAYS.get(interface.partition("@")[0], ()) or not _takes_a_handle(func):
        return None
    return func.result if _is_own(func.result) else None


def made_first(interface: str, function: str, func: Func) -> Handle | None:
    """What a function makes that cannot fail when it is called on an object first; None: it is none such."""
    if function not in _FIRST.get(interface.partition("@")[0], ()) or not _takes_a_handle(func):
        return None
    result = func.result
    if not isinstance(result, ResultOf) or result.err is not None or len(func.params) != 1:
        return None
    return result.ok if _is_own(result.ok) else None


def _takes_a_handle(func: Func) -> bool:
    """Whether it takes a handle and nothing else, or nothing at all."""
    return len(func.params) <= 1 and all(isinstance(param.type, Handle) for param in func.params)


def _is_own(type_: Type | None) -> TypeGuard[Handle]:
    return isinstance(type_, Handle) and type_.mode == "own"


def number_of(interface: str, function: str) -> int:
    """By which the log has a function."""
    return DEFERRABLE.index((interface.partition("@")[0], function)) + 1
