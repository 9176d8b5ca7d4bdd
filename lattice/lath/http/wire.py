"""Requests and responses on the bus: the payloads of calls of `wasi:http/incoming-handler.handle`.

A request is a msgpack map: `method`, `scheme`, `authority`, `path_with_query` (strings), `headers` (an array
of `[name, value]`, a string and bytes), `body` (bytes; nil: there is none), `trailers` (as `headers`), and
`peer` (the client's address and port, where it is known). The reply is one of `status` (an integer),
`headers`, `body` and `trailers`.

A small body is in the map, with its trailers. Of a larger one, or one that is not all there yet, `body` is
the beginning: the message says `Lath-Stream: open`, the rest follows as a stream, and the trailers come with
the stream's end, packed by themselves (nothing: there are none). Other keys are ignored.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgpack

from lath.errors import InvalidArgument, PayloadTooLarge
from lath.http.messages import Header, HttpRequest
from lath.names import shown

BODY_BYTES_MAX: Final = 256 * 1024
"""Of a body, in the message of its request or response."""
HEAD_BYTES_MAX: Final = 192 * 1024
"""Of all else in it, and of trailers: half as much again as guests may set, and with a body of that size well
below what one message may have."""
_METHOD: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]{0,31}")
_TARGET: Final = re.compile(r"[^\x00-\x20\x7f]*")
"""Of an authority and of a path: what could end the line that they stand in is not part of either."""
_PEER: Final = re.compile(r"[\[\]0-9A-Za-z.:%-]{0,128}")
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[^\x00\r\n]*")


def pack_request(request: HttpRequest, body: bytes | None, trailers: list[Header]) -> bytes:
    """The message of a request.

    Args:
        request: Which.
        body: As much of its body as goes with the message; None: it has none.
        trailers: Where that is all of it.

    Raises:
        InvalidArgument: It is no request.
        PayloadTooLarge: Its head or its trailers are.
    """
    head = {
        "method": request.method,
        "scheme": request.scheme,
        "authority": request.authority,
        "path_with_query": request.path_with_query,
        "headers": request.headers,
    }
    if request.peer:
        head["peer"] = request.peer
    return _pack(head, body, trailers)


def unpack_request(payload: bytes) -> tuple[HttpRequest, bytes | None, list[Header]]:
    """A request without its body, as much of that as came with it, and its trailers.

    Raises:
        InvalidArgument: The message is malformed; it says where.
    """
    read = _read(payload, "request")
    request = HttpRequest(
        method=_text(read, "method", _METHOD),
        scheme=_text(read, "scheme", _SCHEME),
        authority=_text(read, "authority", _TARGET),
        path_with_query=_text(read, "path_with_query", _TARGET),
        headers=_fields(read.get("headers"), "headers"),
        peer=_text({"peer": "", **read}, "peer", _PEER),
    )
    return request, _body(read), _fields(read.get("trailers", []), "trailers")


def pack_response(status: int, headers: list[Header], body: bytes, trailers: list[Header]) -> bytes:
    """The message of a response; see `pack_request`."""
    return _pack({"status": status, "headers": headers}, body, trailers)


def unpack_response(payload: bytes) -> tuple[int, list[Header], bytes, list[Header]]:
    """Status, headers, as much of the body as came with it, and trailers; see `unpack_request`."""
    read = _read(payload, "response")
    status = read.get("status")
    if type(status) is not int or not 100 <= status <= 599:
        raise InvalidArgument(f"status {shown(status)} is not an integer of 100 to 599")
    headers = _fields(read.get("headers"), "headers")
    return status, headers, _body(read) or b"", _fields(read.get("trailers", []), "trailers")


def pack_trailers(trailers: list[Header]) -> bytes:
    """What comes with the end of a stream.

    Raises:
        PayloadTooLarge: They are.
    """
    packed: bytes = msgpack.packb(trailers) if trailers else b""
    if len(packed) > HEAD_BYTES_MAX:
        raise PayloadTooLarge(f"{len(packed)} bytes of trailers are above {HEAD_BYTES_MAX}")
    return packed


def unpack_trailers(packed: bytes) -> list[Header]:
    """Raises InvalidArgument."""
    return _fields(_unpack(packed), "trailers") if packed else []


def _pack(head: dict[str, Any], body: bytes | None, trailers: list[Header]) -> bytes:
    if trailers:
        head["trailers"] = trailers
    head["body"] = body
    try:
        packed: bytes = msgpack.packb(head)
    except (TypeError, ValueError, OverflowError) as e:
        raise InvalidArgument(f"the message cannot be sent: {e}") from None
    size = len(packed) - len(body or b"")
    if size > HEAD_BYTES_MAX:
        raise PayloadTooLarge(f"{size} bytes of headers and trailers are above {HEAD_BYTES_MAX}")
    return packed


def _unpack(packed: bytes) -> Any:
    try:
        return msgpack.unpackb(packed, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as e:
        raise InvalidArgument(f"the message is not msgpack: {e!r}") from None


def _read(payload: bytes, what: str) -> dict[Any, Any]:
    read = _unpack(payload)
    if not isinstance(read, dict):
        raise InvalidArgument(f"the message of a {what} is not a map")
    return read


def _text(read: dict[Any, Any], key: str, form: re.Pattern[str]) -> str:
    text = read.get(key)
    if not isinstance(text, str) or not form.fullmatch(text):
        raise InvalidArgument(f"{key} {shown(text)} of the request is not a valid one")
    return text


def _body(read: dict[Any, Any]) -> bytes | None:
    body = read.get("body")
    if body is not None and not isinstance(body, bytes):
        raise InvalidArgument(f"body {shown(body)} is neither bytes nor nil")
    return body


def _fields(read: Any, what: str) -> list[Header]:
    if not isinstance(read, list):
        raise InvalidArgument(f"{what} {shown(read)} are not an array")
    fields: list[Header] = []
    for field in read:
        match field:
            case [str(name), bytes(value)] if _NAME.fullmatch(name) and _VALUE.fullmatch(value):
                fields.append((name, value))
            case _:
                raise InvalidArgument(f"{shown(field)} among the {what} is not the name and value of a field")
    return fields
