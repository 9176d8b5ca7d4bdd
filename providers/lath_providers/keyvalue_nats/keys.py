"""Any string as a key of NATS KV, reversibly, and readable where it was so before.

Letters, digits, `-`, `_` and `/` stay; every other byte of the UTF-8 text becomes `=` and two hex digits
(upper case), dots included, since they part the tokens of a subject. The empty key is `=`.
"""

from __future__ import annotations

import re
from typing import Final

from lath.errors import InvalidArgument

ENCODED_CHARS_MAX: Final = 3_000
"""A key is part of a subject, and a server refuses control lines above 4 KiB, subjects and sizes together."""

_EMPTY: Final = "="
_ESCAPED: Final = re.compile(rb"[^A-Za-z0-9_/-]")
_ESCAPE: Final = re.compile(rb"=([0-9A-F]{2})")


def encode(key: str) -> str:
    """The key in NATS KV.

    Raises:
        InvalidArgument: Too long, or not valid Unicode; the message says so without repeating the key.
    """
    if len(key) > ENCODED_CHARS_MAX:
        raise _too_long(len(key))
    try:
        raw = key.encode()
    except UnicodeEncodeError:
        raise InvalidArgument("the key is not valid Unicode text") from None
    encoded = _ESCAPED.sub(lambda match: b"=%02X" % match[0][0], raw).decode() or _EMPTY
    if len(encoded) > ENCODED_CHARS_MAX:
        raise _too_long(len(key))
    return encoded


def decode(encoded: str) -> str:
    """The key that `encode` made `encoded` of.

    Raises:
        InvalidArgument: It did not make it: somebody else wrote into the bucket.
    """
    if encoded == _EMPTY:
        return ""
    try:
        key = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), encoded.encode()).decode()
    except UnicodeDecodeError:
        key = ""
    if encode(key) != encoded:
        raise InvalidArgument(f"{encoded[:80]!r} is not a key that this provider wrote")
    return key


def _too_long(chars: int) -> InvalidArgument:
    return InvalidArgument(
        f"the key of {chars} characters is too long: in NATS KV it may take {ENCODED_CHARS_MAX},"
        " where letters, digits, - _ / take one and every other byte takes three"
    )
