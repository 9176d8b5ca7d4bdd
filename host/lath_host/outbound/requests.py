"""A guest's request as it may stand on the wire: where it goes, its path, its header, the trace context."""

from __future__ import annotations

import re
from typing import Final

from lath import telemetry
from lath.errors import InvalidArgument
from lath.subjects import HEADER_TRACEPARENT, HEADER_TRACESTATE
from lath.telemetry import TraceContext
from lath_host.engine.http.fields import FORBIDDEN
from lath_host.engine.http.messages import HttpFailure, OutgoingRequest
from lath_host.outbound.rules import DEFAULT_PORTS, Destination

_PATH: Final = re.compile(r"/[!-~]*")
_LENGTH: Final = "content-length"
_LENGTH_DIGITS_MAX: Final = 19
_TRACE: Final = (HEADER_TRACEPARENT, HEADER_TRACESTATE)
_URI_INVALID: Final = "HTTP-request-URI-invalid"


def destination_of(request: OutgoingRequest) -> Destination:
    """Where a request goes to.

    Raises:
        HttpFailure: Nowhere that lath would connect to.
    """
    if request.scheme not in DEFAULT_PORTS:
        raise HttpFailure("HTTP-protocol-error")
    if request.method.upper() == "CONNECT":  # a way through, to where nobody looks
        raise HttpFailure("HTTP-request-method-invalid")
    try:
        return Destination.parse(request.scheme, request.authority)
    except InvalidArgument:
        raise HttpFailure(_URI_INVALID) from None


def path_of(request: OutgoingRequest) -> str:
    """`/a?b=c`, in ASCII and from its first character on a path.

    Raises:
        HttpFailure: It is none.
    """
    path = request.path_with_query
    if not path.startswith("/"):
        path = "/" + path if path[:1] in ("", "?") else path
    if _PATH.fullmatch(path) is None or "#" in path:
        raise HttpFailure(_URI_INVALID)
    return path


def headers_of(request: OutgoingRequest, given: TraceContext | None) -> list[tuple[str, str]]:
    """What the guest has set, checked, and the current trace context where the guest has set none of its own.

    What belongs to the connection is left out: guests cannot set it, and no other way in is left to it here.

    Args:
        request: Whose header.
        given: The trace context that the guest was given. One that passes it on has set none of its own.

    Raises:
        HttpFailure: The header says another length of the body than it has, or a value is not UTF-8.
    """
    _check_length(request)
    headers, names = [], set()
    for name, value in request.headers:
        lower = name.lower()
        if lower not in FORBIDDEN and (lower != _LENGTH or lower not in names):
            headers.append((name, _text(name, value)))
        names.add(lower)
    return _in_trace(headers, given)


def _in_trace(headers: list[tuple[str, str]], given: TraceContext | None) -> list[tuple[str, str]]:
    parents = [value for name, value in headers if name.lower() == HEADER_TRACEPARENT]
    passed_on = given is not None and parents == [given.traceparent]
    if parents and not passed_on:
        return headers
    trace: dict[str, str] = {}
    telemetry.inject(trace)
    # A tracestate of the guest's says nothing without a traceparent.
    kept = [header for header in headers if header[0].lower() not in _TRACE]
    return kept + list(trace.items())


def _check_length(request: OutgoingRequest) -> None:
    """Where a request ends has to be said once, and right: whoever reads on would read another request."""
    values = {value for name, value in request.headers if name.lower() == _LENGTH}
    if not values:
        return
    value = values.pop()
    good = not values and value.isdigit() and len(value) <= _LENGTH_DIGITS_MAX
    if not good or (request.body is None and int(value) > 0):
        raise HttpFailure("HTTP-request-body-size", 0 if request.body is None else None)


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise HttpFailure("internal-error", f"the header {name} is not UTF-8, which cannot be sent") from None
