"""A message, and the interfaces that carry it."""

from __future__ import annotations

from typing import Final

from lath.codec import Record

PACKAGE: Final = ("wasmcloud", "messaging")
HANDLER: Final = "wasmcloud:messaging/handler"
CONSUMER: Final = "wasmcloud:messaging/consumer@0.2.0"
HANDLE: Final = "handle-message"


def broker_message(subject: str, body: bytes, reply_to: str | None) -> Record:
    """A `broker-message` as operations and calls have it."""
    return Record(subject=subject, body=body, reply_to=reply_to)
