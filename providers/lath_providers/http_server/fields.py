"""Which headers are whose: those of one connection, those that the server reads, and those that go on."""

from __future__ import annotations

from typing import Final

from lath.http import Header
from lath.subjects import HEADER_TRACEPARENT, HEADER_TRACESTATE

OF_THE_CONNECTION: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
        "trailer", "transfer-encoding", "upgrade", "http2-settings",
    }
)  # fmt: skip
_READ_AND_PASSED_ON: Final = frozenset({"content-length", HEADER_TRACEPARENT, HEADER_TRACESTATE})
_READ: Final = OF_THE_CONNECTION | _READ_AND_PASSED_ON | {"host", "expect"}


def sorted_out(headers: list[Header]) -> tuple[list[Header], dict[str, list[bytes]]]:
    """Goes through the headers of a request once.

    Args:
        headers: All of them, their names in lower case.

    Returns:
        Those that go on to the guest, and the values of those that the server reads, by name.
    """
    kept: list[Header] = []
    read: dict[str, list[bytes]] = {}
    for header in headers:
        name = header[0]
        if name in _READ:
            read.setdefault(name, []).append(header[1])
            if name not in _READ_AND_PASSED_ON:
                continue
        kept.append(header)
    if "connection" in read:
        named = _tokens(read["connection"])
        kept = [header for header in kept if header[0] not in named]
    return kept, read


def passed_on(headers: list[Header]) -> list[Header]:
    """What is no one hop's: without the headers of the connection, those that `connection` names included."""
    lower = [name.lower() for name, _ in headers]
    if OF_THE_CONNECTION.isdisjoint(lower):
        return headers
    said = [value for name, (_, value) in zip(lower, headers, strict=True) if name == "connection"]
    dropped = OF_THE_CONNECTION | _tokens(said)
    return [header for name, header in zip(lower, headers, strict=True) if name not in dropped]


def _tokens(values: list[bytes]) -> set[str]:
    return {token.strip().lower() for value in values for token in value.decode("latin-1").split(",")}
