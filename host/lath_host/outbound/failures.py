"""Why there is no response, or no more of it, in the terms of `wasi:http`, which are those of RFC 9209."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from lath_host.engine.http.messages import HttpFailure

_ERRNOS: Final = {
    errno.ECONNREFUSED: "connection-refused",
    errno.ECONNRESET: "connection-terminated",
    errno.ECONNABORTED: "connection-terminated",
    errno.EPIPE: "connection-terminated",
    errno.ETIMEDOUT: "connection-timeout",
    errno.ENETUNREACH: "destination-IP-unroutable",
    errno.EHOSTUNREACH: "destination-IP-unroutable",
    errno.EADDRNOTAVAIL: "destination-IP-unroutable",
    errno.EAFNOSUPPORT: "destination-IP-unroutable",
    errno.EMFILE: "connection-limit-reached",
    errno.ENFILE: "connection-limit-reached",
    errno.EACCES: "destination-IP-prohibited",
    errno.EPERM: "destination-IP-prohibited",
}
_RCODES: Final = {socket.EAI_NONAME: "NXDOMAIN", socket.EAI_AGAIN: "SERVFAIL", socket.EAI_FAIL: "REFUSED"}
"""What the system's look-up leaves of the answer's code."""
_TOO_MANY_FIELDS: Final = "Too many headers received"
"""What aiohttp says then, by an error of no class of its own."""
_ALERT: Final = re.compile(r"\b(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(\w+)")
_ALERTS: Final = {
    # RFC 8446, 6; the names are OpenSSL's
    "UNEXPECTED_MESSAGE": 10, "BAD_RECORD_MAC": 20, "RECORD_OVERFLOW": 22, "HANDSHAKE_FAILURE": 40,
    "BAD_CERTIFICATE": 42, "UNSUPPORTED_CERTIFICATE": 43, "CERTIFICATE_REVOKED": 44,
    "CERTIFICATE_EXPIRED": 45, "CERTIFICATE_UNKNOWN": 46, "ILLEGAL_PARAMETER": 47, "UNKNOWN_CA": 48,
    "ACCESS_DENIED": 49, "DECODE_ERROR": 50, "DECRYPT_ERROR": 51, "PROTOCOL_VERSION": 70,
    "INSUFFICIENT_SECURITY": 71, "INTERNAL_ERROR": 80, "INAPPROPRIATE_FALLBACK": 86, "USER_CANCELLED": 90,
    "MISSING_EXTENSION": 109, "UNSUPPORTED_EXTENSION": 110, "UNRECOGNIZED_NAME": 112,
    "CERTIFICATE_REQUIRED": 116, "NO_APPLICATION_PROTOCOL": 120,
}  # fmt: skip


def failure_of(error: Exception) -> HttpFailure:
    """What a guest is told of an error of aiohttp's or the system's."""
    if isinstance(error, HttpFailure):
        return error
    if isinstance(error, aiohttp.ClientPayloadError):
        return HttpFailure("HTTP-response-incomplete")
    for cause in _causes(error):
        found = _failure_by_cause(cause)
        if found is not None:
            return found
    return HttpFailure("internal-error", f"{type(error).__name__}: {error}")


def dns_failure(error: OSError) -> HttpFailure:
    """That a name was not found."""
    rcode = _RCODES.get(error.errno) if isinstance(error, socket.gaierror) and error.errno else None
    return HttpFailure("DNS-error", {"rcode": rcode, "info-code": None})


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, the innermost first: it says most."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        if isinstance(error, aiohttp.ClientConnectorError):
            chain.append(error.os_error)
        error = error.__cause__
    return reversed(chain)


def _failure_by_cause(cause: BaseException) -> HttpFailure | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return HttpFailure("TLS-certificate-error")
    if isinstance(cause, ssl.SSLError):
        return _tls_failure(cause)
    if isinstance(cause, LineTooLong) or _TOO_MANY_FIELDS in str(cause):
        return HttpFailure("HTTP-response-header-section-size")
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return HttpFailure("connection-terminated")
    if isinstance(cause, aiohttp.ClientResponseError):
        return HttpFailure("HTTP-protocol-error")
    if isinstance(cause, OSError) and cause.errno in _ERRNOS:
        return HttpFailure(_ERRNOS[cause.errno])
    if isinstance(cause, ConnectionError):
        return HttpFailure("connection-terminated")
    if isinstance(cause, OSError) and cause.errno is None:  # several addresses, each with another error
        return HttpFailure("destination-unavailable")
    return None


def _tls_failure(error: ssl.SSLError) -> HttpFailure:
    said = _ALERT.search(f"{error.reason or ''} {error}")
    if said is None:
        return HttpFailure("TLS-protocol-error")
    payload: dict[str, Any] = {
        "alert-id": _ALERTS.get(said[1]), "alert-message": said[1].lower().replace("_", " "),
    }  # fmt: skip
    return HttpFailure("TLS-alert-received", payload)
