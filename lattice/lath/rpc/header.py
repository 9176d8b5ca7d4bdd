"""The `Lath` header: all that every call needs, packed into one, because each header costs throughput."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from lath.errors import InvalidArgument
from lath.model.revision import Revision
from lath.names import shown

TIMEOUT_MS_DEFAULT: Final = 10_000
TIMEOUT_MS_MAX: Final = 24 * 3600 * 1000
"""A longer time-out is a mistake, and would hold a place in the callee for as long."""
HEADER_CHARS_MAX: Final = 1024
_FIELDS: Final = 5
_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{0,128}\Z")

_revision = lru_cache(maxsize=1024)(Revision.parse)


class CallHeader(NamedTuple):
    """What a call carries beside its payload and its trace.

    Attributes:
        ms_left: Milliseconds until the caller gives up; relative, because clocks differ.
        call_id: Chosen by the caller, unguessable; a cancel names it.
        revision: Of the link that the call was routed by; None for a client's call.
        interface_version: What the caller was built against; empty matches any.
        app_version: The deployed version that the request belongs to; empty outside of apps.
    """

    ms_left: int
    call_id: str
    revision: Revision | None = None
    interface_version: str = ""
    app_version: str = ""

    def encode(self) -> str:
        """The header's text."""
        routing = routing_part(self.revision, self.interface_version, self.app_version)
        return f"{self.ms_left},{self.call_id},{routing}"

    @staticmethod
    def parse(text: str) -> CallHeader:
        """Reads the header of a call that came in. A missing time-out means the default, 10 s.

        Raises:
            InvalidArgument: Malformed; the message says how.
        """
        parts = text.split(",") if len(text) <= HEADER_CHARS_MAX else []
        if len(parts) != _FIELDS:
            raise InvalidArgument(
                f"header Lath {shown(text)} is not of the form"
                " msLeft,callId,linkRevision,interfaceVersion,appVersion"
            )
        ms, call_id, revision, interface_version, app_version = parts
        if not _CALL_ID.match(call_id):
            raise InvalidArgument(
                f"call id {shown(call_id)} is not 1 to 64 of the characters A-Z a-z 0-9 _ -"
            )
        if interface_version and not _VERSION.match(interface_version):
            raise InvalidArgument(f"interface version {shown(interface_version)} is not a version")
        return CallHeader(
            _milliseconds(ms) if ms else TIMEOUT_MS_DEFAULT,
            call_id,
            _revision(revision) if revision else None,
            interface_version,
            unquote(app_version) if app_version else "",
        )


def routing_part(revision: Revision | None, interface_version: str, app_version: str) -> str:
    """The part of the header that stays the same from call to call over one link.

    Raises:
        InvalidArgument: The interface version cannot be one.
    """
    if not _VERSION.match(interface_version):
        raise InvalidArgument(f"interface version {shown(interface_version)} is not a version")
    return f"{revision if revision is not None else ''},{interface_version},{quote(app_version, safe='')}"


def _milliseconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise InvalidArgument(f"milliseconds left {shown(text)} are not a number")
    return min(int(text), TIMEOUT_MS_MAX)
