"""Config values as they may be shown: what looks like a secret is hidden.

Named config is plain text, yet people put passwords in it; a `vping` must not spread them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

HIDDEN: Final = "********"
_SECRET_NAME: Final = re.compile(
    r"pass(?:word|wd|phrase)?|secret|token|seed|credential|(?:api|private|access|signing)[_.-]?key|\bauth\b",
    re.IGNORECASE,
)
_URL_USER: Final = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\s]*@")


def redacted(values: Mapping[str, str]) -> dict[str, str]:
    """`values` with secrets hidden: by their name, or as user and password in a URL."""
    return {
        name: HIDDEN if _SECRET_NAME.search(name) else _URL_USER.sub(rf"\g<scheme>{HIDDEN}@", value)
        for name, value in values.items()
    }
