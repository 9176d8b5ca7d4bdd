"""`fields` of `wasi:http/types`: headers and trailers, and what a guest may put into them.

Names and values are checked by RFC 9110 (5.1, 5.5). Names keep the case in which they were set, and are equal
without it. What belongs to a connection and not to a message is forbidden to guests (RFC 9110, 7.6.1), and
they do not see it either, so that headers may be copied from a request to a response.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from lath.errors import LimitExceeded
from lath.http import Header
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, Immediate, WasiGuest

FIELDS_BYTES_MAX: Final = 128 * 1024
"""Names, values and what it takes to keep them: twice what servers commonly take. The standard has no
error for it, so that a guest that goes past it traps."""
_FIELD_BYTES: Final = 32
"""What keeping a field takes beside its name and value, as HTTP/2 counts it (RFC 9113, 6.5.2)."""
_OBJECTS_BYTES: Final = 160
"""What Python takes to keep a field beside its name and value: a pair, two objects, their place in a list."""
FORBIDDEN: Final = frozenset(
    {
        "connection", "host", "http2-settings", "keep-alive", "proxy-connection", "transfer-encoding",
        "upgrade",
    }
)  # fmt: skip
_LENGTH_DIGITS_MAX: Final = 19
"""Of a body's size in bytes: no body needs more, and Python reads no number of thousands of digits."""
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

_INVALID: Final = {"err": {"invalid-syntax": None}}
_FORBIDDEN: Final = {"err": {"forbidden": None}}
_IMMUTABLE: Final = {"err": {"immutable": None}}
_DONE: Final = {"ok": None}


class Fields(Local):
    """A header or a trailer.

    Args:
        entries: What it has, known to be good.
        mutable: Whether the guest may change it.

    Attributes:
        entries: (name, value), in the order in which they were set.
        mutable: As above; a header that has been given to a message is not any more.
    """

    def __init__(self, entries: Iterable[Header] = (), *, mutable: bool = True) -> None:
        self.entries = list(entries)
        self.mutable = mutable
        if self.entries:
            self.kept_bytes = kept_bytes(self.entries)

    def values(self, name: str) -> list[bytes]:
        """All values of that name."""
        lower = name.lower()
        return [value for each, value in self.entries if each.lower() == lower]

    def remove(self, name: str) -> None:
        """Removes all of that name."""
        lower = name.lower()
        self.entries = [entry for entry in self.entries if entry[0].lower() != lower]
        self.keep(kept_bytes(self.entries))

    def add(self, name: str, value: bytes) -> None:
        """Adds a field.

        Raises:
            LimitExceeded: There are too many, or too many of the guest's fields together.
        """
        kept = self.kept_bytes + len(name) + len(value) + _OBJECTS_BYTES
        if kept - (len(self.entries) + 1) * (_OBJECTS_BYTES - _FIELD_BYTES) > FIELDS_BYTES_MAX:
            raise LimitExceeded(f"a header or trailer of more than {FIELDS_BYTES_MAX} bytes")
        self.keep(kept)
        self.entries.append((name, value))


def visible(headers: Iterable[Header]) -> list[Header]:
    """What guests see of a message's header."""
    return [(name, value) for name, value in headers if name.lower() not in FORBIDDEN]


def content_length(headers: Iterable[Header]) -> int | None:
    """What the header says of the body's size; None where it says nothing that can be read."""
    for name, value in headers:
        if name.lower() == "content-length" and value.isdigit() and len(value) <= _LENGTH_DIGITS_MAX:
            return int(value)
    return None


def kept_bytes(headers: Iterable[Header]) -> int:
    """What keeping them takes of a host's memory."""
    return sum([len(name) + len(value) + _OBJECTS_BYTES for name, value in headers])


def _refused(name: str, values: Iterable[bytes]) -> dict[str, Any] | None:
    """The `header-error` that a field is refused with; None where it is good."""
    if _NAME.fullmatch(name) is None or not all(map(_VALUE.fullmatch, values)):
        return _INVALID
    return _FORBIDDEN if name.lower() in FORBIDDEN else None


def _from_list(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    fields = Fields()
    for name, value in params[0]:
        refused = _refused(name, [value])
        if refused is not None:
            return refused
        fields.add(name, value)
    return {"ok": fields}


def _changing(change: Callable[[Fields, str, list[bytes]], None]) -> Immediate:
    """What answers a function that changes a field: (fields, name[, value or values])."""

    def answer(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
        fields, name, *rest = params
        values = rest[0] if rest and isinstance(rest[0], list) else rest
        refused = _IMMUTABLE if not fields.mutable else _refused(name, values)
        if refused is not None:
            return refused
        change(fields, name, values)
        return _DONE

    return answer


def _set(fields: Fields, name: str, values: list[bytes]) -> None:
    fields.remove(name)
    _append(fields, name, values)


def _append(fields: Fields, name: str, values: list[bytes]) -> None:
    for value in values:
        fields.add(name, value)


_FIELDS: Final[dict[str, Immediate]] = {
    "[constructor]fields": lambda guest, params: Fields(),
    "[static]fields.from-list": _from_list,
    "[method]fields.get": lambda guest, params: params[0].values(params[1]),
    "[method]fields.has": lambda guest, params: bool(params[0].values(params[1])),
    "[method]fields.set": _changing(_set),
    "[method]fields.delete": _changing(lambda fields, name, values: fields.remove(name)),
    "[method]fields.append": _changing(_append),
    "[method]fields.entries": lambda guest, params: [list(entry) for entry in params[0].entries],
    "[method]fields.clone": lambda guest, params: Fields(params[0].entries),
}
ANSWERS: Final = {("wasi:http/types", name): Answer(answer) for name, answer in _FIELDS.items()}
