"""The `error-code` of `wasi:sockets`: what a guest is told of what went wrong."""

from __future__ import annotations

import errno
import socket
from typing import Final

_UNKNOWN: Final = "unknown"
_BY_ERRNO: Final = {
    errno.EACCES: "access-denied",
    errno.EPERM: "access-denied",
    errno.EADDRINUSE: "address-in-use",
    errno.EADDRNOTAVAIL: "address-not-bindable",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNREFUSED: "connection-refused",
    errno.ECONNRESET: "connection-reset",
    errno.EPIPE: "connection-reset",
    errno.ECONNABORTED: "connection-aborted",
    errno.EINVAL: "invalid-argument",
    errno.EHOSTUNREACH: "remote-unreachable",
    errno.EHOSTDOWN: "remote-unreachable",
    errno.ENETUNREACH: "remote-unreachable",
    errno.ENETDOWN: "remote-unreachable",
    errno.EISCONN: "invalid-state",
    errno.ENOTCONN: "invalid-state",
    errno.EDESTADDRREQ: "invalid-state",
    errno.EMSGSIZE: "datagram-too-large",
    errno.ENOMEM: "out-of-memory",
    errno.ENOBUFS: "out-of-memory",
    errno.EMFILE: "new-socket-limit",
    errno.ENFILE: "new-socket-limit",
    errno.EOPNOTSUPP: "not-supported",
    errno.ENOPROTOOPT: "not-supported",
    errno.EPROTONOSUPPORT: "not-supported",
    errno.EAFNOSUPPORT: "not-supported",
}
_BY_LOOKUP: Final = {
    socket.EAI_AGAIN: "temporary-resolver-failure",
    socket.EAI_FAIL: "permanent-resolver-failure",
    socket.EAI_MEMORY: "out-of-memory",
    socket.EAI_NONAME: "name-unresolvable",
    socket.EAI_NODATA: "name-unresolvable",
}


class SocketFailure(Exception):
    """What was asked cannot be done.

    Args:
        code: As a case of `error-code`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def code_of(error: BaseException) -> str:
    """What a guest is told of an error."""
    if isinstance(error, SocketFailure):
        return error.code
    if isinstance(error, socket.gaierror):
        return _BY_LOOKUP.get(error.errno or 0, "permanent-resolver-failure")
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, _UNKNOWN)
    return _UNKNOWN
