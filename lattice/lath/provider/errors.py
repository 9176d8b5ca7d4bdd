"""What an operation raises: the error side of a WIT function, or that the link's backend is gone."""

from __future__ import annotations

from typing import Any, Final

from lath.errors import ConnectionLost, LathError, LinkFailed
from lath.redact import scrubbed

REASON_CHARS_MAX: Final = 1000
"""Reasons are carried in every ping: a backend's megabyte of traceback is cut."""


class OpError(Exception):
    """The `err` case of a function's `result`, as an exception.

    An operation raises it: its caller gets `err(payload)`. `ProviderInstance.call` raises it when what it
    called answered so.

    Attributes:
        payload: The value of the error type, in the friendly form of `lath.codec.values`: `Variant("other",
            "disk full")`, a str, None where the error carries nothing.
    """

    def __init__(self, payload: Any = None) -> None:
        super().__init__(payload)
        self.payload = payload


class BackendLost(Exception):
    """The backend of a link is gone: its connection broke, it refused, it was shut down.

    An operation (or `check_link`) raises it. Its call fails, as `connection_lost` or as `link_failed`; the
    link becomes `failed` with the reason, so that further calls fail at once; what it held is closed, and it
    is opened anew, with growing delays for as long as that fails.

    It is for a backend that no call of the link can use now, not for one that is slow or refuses one request.

    Attributes:
        reason: What is told in pings and to callers. It may hold no secret; those that this process has
            opened are taken out.
        may_have_run: Whether the backend may have done what the call asked; false: certainly not, so that
            the caller may try another instance.
    """

    def __init__(self, reason: str, *, may_have_run: bool = True) -> None:
        self.reason = scrubbed(reason)
        super().__init__(self.reason)
        self.may_have_run = may_have_run

    def told(self, key: str) -> LathError:
        """What the caller by the link of that key is told."""
        if self.may_have_run:
            return ConnectionLost(f"link {key} lost its backend while the call ran: {self.reason}")
        return LinkFailed(f"link {key} failed: {self.reason}")


def reason_of(error: BaseException) -> str:
    """What an error says of why a link failed, for people: lath's own without their kind."""
    if isinstance(error, LathError):
        text = error.message
    elif isinstance(error, BackendLost):
        text = error.reason
    else:
        text = scrubbed(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    return text if len(text) <= REASON_CHARS_MAX else text[:REASON_CHARS_MAX] + "…"
