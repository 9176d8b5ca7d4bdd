"""A message, and the interfaces that carry it."""

from __future__ import annotations

from typing import Final

from lath.codec import Record
from lath.errors import InvalidArgument

PACKAGE: Final = ("wasmcloud", "messaging")
HANDLER: Final = "wasmcloud:messaging/handler"
CONSUMER: Final = "wasmcloud:messaging/consumer@0.2.0"
HANDLE: Final = "handle-message"
_ANSWER_MS_MAX: Final = 250.0
"""A request ends so long before its call does, or a quarter of what is left, so that its failure reaches the
component in words."""


def broker_message(subject: str, body: bytes, reply_to: str | None) -> Record:
    """A `broker-message` as operations and calls have it."""
    return Record(subject=subject, body=body, reply_to=reply_to)


def wait_ms(timeout_ms: int, call_ms_left: float) -> float:
    """How long a request waits for its answer.

    Args:
        timeout_ms: How long the component wants to wait.
        call_ms_left: How long its call may take yet.

    Raises:
        InvalidArgument: The component did not say.
    """
    if timeout_ms == 0:
        raise InvalidArgument("timeout-ms is 0: say how many milliseconds to wait for an answer")
    return min(timeout_ms, call_ms_left - min(_ANSWER_MS_MAX, call_ms_left / 4))
