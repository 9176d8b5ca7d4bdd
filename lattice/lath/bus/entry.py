"""An entry of a bucket, as every room sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from lath.subjects import HEADER_KV_OPERATION, HEADER_MARKER_REASON

Operation = Literal["PUT", "DEL", "PURGE", "EXPIRED"]

DELETED: Final = "DEL"
_OPERATIONS: Final[dict[str, Operation]] = {"DEL": "DEL", "PURGE": "PURGE"}
_MARKER_REASONS: Final[dict[str, Operation]] = {"MaxAge": "EXPIRED", "Purge": "PURGE", "Remove": "DEL"}


@dataclass(frozen=True, slots=True)
class Entry:
    """The last write of a key.

    Attributes:
        key: Without the bucket's prefix.
        sequence: In the bucket's stream.
        created_ns: When the server stored it, nanoseconds since the epoch.
        operation: What it was; anything but PUT is a tombstone.
    """

    key: str
    value: bytes
    sequence: int
    created_ns: int
    operation: Operation = "PUT"

    @property
    def deleted(self) -> bool:
        return self.operation != "PUT"


def operation_of(headers: Mapping[str, str] | None) -> Operation:
    """What a write with these headers did to its key."""
    if not headers:
        return "PUT"
    if HEADER_KV_OPERATION in headers:
        return _OPERATIONS.get(headers[HEADER_KV_OPERATION], "PUT")
    if HEADER_MARKER_REASON in headers:
        return _MARKER_REASONS.get(headers[HEADER_MARKER_REASON], "DEL")
    return "PUT"
