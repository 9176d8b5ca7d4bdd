"""What clients are told: the status of an error, and the headers of a response."""

from __future__ import annotations

import functools
import re
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from lath.errors import LathError
from lath.http import Header, HttpResponse
from lath_providers.http_server.exchange import Refusal
from lath_providers.http_server.fields import passed_on
from lath_providers.http_server.served import RETRY_AFTER

_SERVER: Final = (b"server", b"lath")
_OWN: Final = frozenset({b"date", b"server"})
NO_BODY: Final = frozenset({204, 304})
"""Statuses of responses that have none, whatever the guest writes."""
_STATUS_OF_KIND: Final = {
    "overloaded": 503,
    "draining": 503,
    "unavailable": 503,
    "not_connected": 503,
    "link_failed": 503,
    "deadline_exceeded": 504,
    "payload_too_large": 413,
}
_NO_TRAILERS: Final = frozenset({b"content-length", b"host"})
"""What says where a message goes or ends: read before its body, or not at all (RFC 9110, 6.5.1)."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE: Final = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_LENGTH: Final = re.compile(rb"\d{1,18}\Z")
_NAMES_KEPT: Final = 256


def refusal_of(error: LathError) -> Refusal:
    """What the client of a request that failed is told: the kind of the error, nothing from inside."""
    status = _STATUS_OF_KIND.get(error.kind, 502)
    return Refusal(status, error.kind, RETRY_AFTER if status == 503 else ())


def refusal_text(refusal: Refusal) -> bytes:
    """The body of a refusal."""
    return f"{HTTPStatus(refusal.status).phrase}: {refusal.reason}\n".encode()


def response_headers(response: HttpResponse) -> list[tuple[bytes, bytes]]:
    """The headers of a guest's response as they are sent; those that are the server's own are not among them.

    Raises:
        Refusal: The response cannot be sent as HTTP.
    """
    if not 200 <= response.status <= 599:
        raise Refusal(502, f"the component answered with status {response.status}")
    if not response.headers:
        return []
    sent: list[tuple[bytes, bytes]] = []
    names: set[bytes] = set()
    for name, value in passed_on(response.headers):
        lower = _sent_name(name)
        if lower is None or not _VALUE.match(value):
            raise Refusal(502, "the component answered with a malformed header")
        if lower == b"content-length":
            if response.status in NO_BODY:
                continue
            if lower in names or not _LENGTH.match(value):
                raise Refusal(502, "the component answered with a malformed content-length")
        names.add(lower)
        sent.append((lower, value.strip(b" \t")))
    return sent


def announced_trailers(response: HttpResponse) -> list[tuple[bytes, bytes]]:
    """The header that names the trailers to come: those that are there, or that its guest announces."""
    if names := [name for name, _ in _sent_trailers(response)]:
        return [(b"trailer", b", ".join(names))]
    named = [value for name, value in response.headers if name.lower() == "trailer" and _VALUE.match(value)]
    return [(b"trailer", value) for value in named]


def response_trailers(response: HttpResponse) -> list[Header]:
    """The trailers of a guest's response as they are sent, once its body has ended."""
    return [(name.decode("ascii"), value) for name, value in _sent_trailers(response)]


def _sent_trailers(response: HttpResponse) -> list[tuple[bytes, bytes]]:
    good = [
        (name.lower().encode("ascii"), value.strip(b" \t"))
        for name, value in passed_on(response.trailers)
        if _NAME.match(name) and _VALUE.match(value)
    ]
    return [field for field in good if field[0] not in _NO_TRAILERS]


def own_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What every response has, but for those that are among its headers."""
    said = {name for name, _ in headers}
    return [field for field in (_date(int(time.time())), _SERVER) if field[0] not in said]


def own_lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Likewise, as HTTP/1.1 writes them."""
    for name, _ in headers:
        if name in _OWN:
            return _lines(own_headers(headers))
    return _all_own_lines(int(time.time()))


@functools.lru_cache(maxsize=1)
def _date(second: int) -> tuple[bytes, bytes]:
    return b"date", formatdate(second, usegmt=True).encode()


@functools.lru_cache(maxsize=1)
def _all_own_lines(second: int) -> bytes:
    return _lines([_date(second), _SERVER])


def _lines(fields: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


@functools.lru_cache(maxsize=_NAMES_KEPT)
def _sent_name(name: str) -> bytes | None:
    """A header's name as it is sent, mostly one of few; None where it is none."""
    return name.lower().encode("ascii") if _NAME.match(name) else None
