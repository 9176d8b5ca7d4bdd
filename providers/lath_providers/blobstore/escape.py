"""Any string under the few characters that a backend allows, reversibly, and readable where it can be."""

from __future__ import annotations

import re

from lath.errors import InvalidArgument
from lath.names import shown


class Escape:
    """Keeps some characters; every other byte of the UTF-8 text becomes a mark and two hex digits.

    The empty string becomes the mark alone. So no two strings become the same one.

    Args:
        kept: The inside of a regular expression's character class, in ASCII; without the mark.
        mark: One character.
    """

    def __init__(self, kept: str, mark: str) -> None:
        self._mark = mark
        self._other = re.compile(f"[^{kept}]".encode())
        self._escaped = re.compile(f"{re.escape(mark)}([0-9A-F]{{2}})".encode())

    def encode(self, text: str) -> str:
        """The text in the characters that are kept, and the mark."""
        mark = self._mark.encode()
        return (
            self._other.sub(lambda found: b"%s%02X" % (mark, found[0][0]), text.encode()).decode()
            or self._mark
        )

    def decode(self, encoded: str) -> str:
        """What `encode` made `encoded` of. Whether it did is for the caller to see, by encoding it again.

        Raises:
            InvalidArgument: It certainly did not.
        """
        if encoded == self._mark:
            return ""
        try:
            raw = encoded.encode()
            return self._escaped.sub(lambda found: bytes([int(found[1], 16)]), raw).decode()
        except UnicodeError:
            raise InvalidArgument(f"{shown(encoded)} is not a name that this provider wrote") from None
