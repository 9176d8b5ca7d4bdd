"""What a CGI program replies: the header of RFC 3875, 6, read from the beginning of what it writes.

    Content-Type: text/plain        a document; `Status: 404 Not Found` beside it gives its status
    Location: /other?path           the answer is what this program says to that path
    Location: https://other/        the client is sent there, with 302 or the `Status` beside it

Lines end in LF or CR LF, and an empty one ends the header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from lath.http import Header

HEAD_BYTES_MAX: Final = 64 * 1024
"""What a program may write before the empty line."""
FIELDS_MAX: Final = 256
_LINE_END: Final = re.compile(rb"\r?\n")
_HEAD_END: Final = re.compile(rb"(?:\A|\n)\r?\n")
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
_STATUS: Final = re.compile(rb"([2-5][0-9][0-9])(?: .*)?\Z")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}\Z")
_LOCAL: Final = re.compile(rb"/[!-~]*\Z")
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:[!-~\x80-\xff]+\Z")
_ONCE: Final = frozenset({"content-length", "content-type", "location", "status"})
_FOUND: Final = 302
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""They are between the client and the server: a program may set them, and nobody sees them."""


class Malformed(Exception):
    """Not a reply; the message says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply's header.

    Attributes:
        status: Of the response.
        headers: Of the response, as the program gave them.
        content_length: Bytes of the body, where the program says it.
        local: The path, with query, that the client is answered as though it had asked for it; empty: none.
    """

    status: int = 200
    headers: list[Header] = field(default_factory=list)
    content_length: int | None = None
    local: str = ""


def end_of_head(written: bytes | bytearray, searched: int = 0) -> int | None:
    """Where the header ends, the empty line included; None: it has not ended yet.

    Args:
        written: What the program has written.
        searched: How much of that was looked at before.

    Raises:
        Malformed: It is too large.
    """
    found = _HEAD_END.search(written, max(0, searched - 2), HEAD_BYTES_MAX)
    if found is not None:
        return found.end()
    if len(written) >= HEAD_BYTES_MAX:
        raise Malformed(f"its header has no end in the first {HEAD_BYTES_MAX} bytes")
    return None


def read_reply(head: bytes) -> Reply:
    """Reads a header, up to the empty line.

    Raises:
        Malformed: It breaks RFC 3875.
    """
    fields = [_field(line) for line in _LINE_END.split(head) if line]
    if len(fields) > FIELDS_MAX:
        raise Malformed(f"its header has {len(fields)} fields, more than {FIELDS_MAX}")
    named: dict[str, bytes] = {}
    for name, value in fields:
        if name.lower() in _ONCE:
            if name.lower() in named:
                raise Malformed(f"its header has {name.lower()} twice")
            named[name.lower()] = value
    status, location = _status(named.get("status")), named.get("location")
    if location is not None and status is None:
        if _LOCAL.match(location):
            return Reply(local=location.decode())
        if not _ABSOLUTE.match(location):
            raise Malformed(f"its location {_shown(location)} is neither a path nor a URL")
        status = _FOUND
    if not named:
        raise Malformed("its header has none of content-type, location and status")
    hidden = _OF_THE_CONNECTION | {"status"}
    headers = [(name, value) for name, value in fields if name.lower() not in hidden]
    return Reply(status or 200, headers, _length(named.get("content-length")))


def _field(line: bytes) -> Header:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.match(name):
        raise Malformed(f"its header has the line {_shown(line)}, which is no field")
    value = value.strip(b" \t")
    if not _VALUE.match(value):
        raise Malformed(f"the value of {name.decode()} has control characters in it")
    return name.decode(), value


def _status(value: bytes | None) -> int | None:
    if value is None:
        return None
    found = _STATUS.match(value)
    if found is None:
        raise Malformed(f"its status is {_shown(value)}: three digits from 200 to 599 were expected")
    return int(found[1])


def _length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not _LENGTH.match(value):
        raise Malformed(f"its content-length is {_shown(value)}, which is no number of bytes")
    return int(value)


def _shown(value: bytes) -> str:
    """Cut, and with nothing in it that a log or a page would take for more than text."""
    text = value[:60].decode("latin-1") + ("…" if len(value) > 60 else "")
    return ascii(text)
