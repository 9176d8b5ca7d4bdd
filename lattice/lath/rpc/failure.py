"""How an error travels in a reply: NATS's two service headers, lath's kind, the whole message as the body.

Also what a caller makes of a message that could not be sent, of a target that nobody serves, and of an answer
that does not arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from nats import errors as nats_errors
from nats.aio.msg import Msg

from lath.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    LathError,
    NotConnected,
    NotFound,
    PayloadTooLarge,
    Unavailable,
    error_of_kind,
)
from lath.names import check_target
from lath.subjects import HEADER_ERROR, HEADER_SERVICE_ERROR, HEADER_SERVICE_ERROR_CODE

_HEADER_MESSAGE_CHARS_MAX: Final = 256
MESSAGE_BYTES_MAX: Final = 64 * 1024
"""A backtrace fits; more helps nobody."""

_CODES: Final = {
    "invalid_argument": "400",
    "permission_denied": "403",
    "not_found": "404",
    "link_not_found": "404",
    "conflict": "409",
    "payload_too_large": "413",
    "link_failed": "424",
    "overloaded": "429",
    "cancelled": "499",
    "unavailable": "503",
    "draining": "503",
    "not_connected": "503",
    "deadline_exceeded": "504",
}
_CODE_OTHER: Final = "500"


def headers_of(error: LathError) -> dict[str, str]:
    """The headers of a reply that says that the call failed."""
    line = " ".join(error.message.split())
    return {
        HEADER_SERVICE_ERROR: line[:_HEADER_MESSAGE_CHARS_MAX] or error.kind,
        HEADER_SERVICE_ERROR_CODE: _CODES.get(error.kind, _CODE_OTHER),
        HEADER_ERROR: error.kind,
    }


def body_of(error: LathError) -> bytes:
    """The body of such a reply: the message, cut where it is endless."""
    return error.message.encode("utf-8", "replace")[:MESSAGE_BYTES_MAX]


def error_of(msg: Msg) -> LathError | None:
    """The error that a reply carries, or None. A service error of someone who is not lath is `internal`."""
    headers = msg.headers
    if not headers:
        return None
    kind = headers.get(HEADER_ERROR)
    if kind is None and HEADER_SERVICE_ERROR not in headers:
        return None
    text = msg.data.decode("utf-8", "replace") or headers.get(HEADER_SERVICE_ERROR, "")
    return error_of_kind(kind or "internal", text)


def nobody(target: str, linked: bool) -> LathError:
    """No instance of `target` is known; whether a link names it says how that is to be taken."""
    if linked:
        return Unavailable(f"no instance of {target} is running")
    return NotFound(f"{check_target(target)} is not running here: no instance of it is known")


def not_sent(error: nats_errors.Error, target: str) -> LathError:
    """Why a call to `target` did not leave this process."""
    if isinstance(error, nats_errors.MaxPayloadError):
        return PayloadTooLarge(f"the message to {target} is above the server's max_payload")
    if isinstance(error, nats_errors.BadSubjectError | nats_errors.BadHeaderError):
        return InvalidArgument(f"the call to {target} cannot be sent: {error!r}")
    return NotConnected("the connection to the bus is lost; nothing was sent")


@contextmanager
def having_answered(target: str, late: str) -> Iterator[None]:
    """What goes wrong with an answer that is on its way: the call has run.

    Args:
        target: Who has answered.
        late: What is said where a `TimeoutError` ends it.

    Raises:
        ConnectionLost: The connection is gone, or the second one does not come about.
        DeadlineExceeded: There is no time left.
    """
    try:
        yield
    except NotConnected as e:
        raise ConnectionLost(f"{target} had answered, but {e.message}") from e
    except nats_errors.Error as e:
        raise ConnectionLost(f"{target} had answered, but the connection to the bus broke") from e
    except TimeoutError:
        raise DeadlineExceeded(f"{target} had answered, but {late}") from None
