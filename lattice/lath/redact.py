"""What may not be shown: config values that look like secrets, and every secret that this process has opened.

Named config is plain text, yet people put passwords in it; a `vping` must not spread them. What was sealed is
known exactly, so wherever this process would show it, in a log, an error, a span, it shows `HIDDEN` instead:
also where the message is a driver's, which repeats the URL that it was given.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

HIDDEN: Final = "********"
_SECRET_NAME: Final = re.compile(
    r"pass(?:word|wd|phrase)?|secret|token|seed|credential|(?:api|private|access|signing)[_.-]?key|\bauth\b",
    re.IGNORECASE,
)
_URL_USER: Final = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\s]*@")
HIDE_CHARS_MIN: Final = 4
"""Shorter values are looked for nowhere: they stand in every second word by chance."""
_LINE_CHARS_MIN: Final = 16
"""Of a value of several lines each one is hidden too: messages quote keys in part."""
_FORMS_MAX: Final = 4096
"""Those of the values opened last are kept: each is looked for in every line that is logged."""


def redacted(values: Mapping[str, str]) -> dict[str, str]:
    """`values` with secrets hidden: by their name, or as user and password in a URL."""
    return {
        name: HIDDEN if _SECRET_NAME.search(name) else _URL_USER.sub(rf"\g<scheme>{HIDDEN}@", scrubbed(value))
        for name, value in values.items()
    }


class _Hidden:
    """The forms in which opened secrets might show in a text, the longest first."""

    forms: tuple[str, ...] = ()
    by_age: Final[dict[str, None]] = {}


_hidden: Final = _Hidden()


def hide(value: str | bytes) -> None:
    """Shows a value nowhere from now on, in this process."""
    for form in _forms(value):
        _hidden.by_age.pop(form, None)
        _hidden.by_age[form] = None
    while len(_hidden.by_age) > _FORMS_MAX:
        del _hidden.by_age[next(iter(_hidden.by_age))]
    _hidden.forms = tuple(sorted(_hidden.by_age, key=len, reverse=True))


def forget() -> None:
    """Hides nothing any more. For tests: one process is many participants there, one after the other."""
    _hidden.by_age.clear()
    _hidden.forms = ()


def scrubbed(text: str) -> str:
    """`text` without any value that is hidden."""
    for form in _hidden.forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    return text


def _forms(value: str | bytes) -> Iterator[str]:
    """A value as it is, and as JSON, Python, URLs and base64 write it."""
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    text = value if isinstance(value, str) else value.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    for part in (text, text.strip(), *(line for line in lines if len(line) >= _LINE_CHARS_MIN)):
        if len(part) >= HIDE_CHARS_MIN:
            yield from {
                part,
                json.dumps(part)[1:-1],
                json.dumps(part, ensure_ascii=False)[1:-1],
                repr(part)[1:-1],
                quote(part, safe="", errors="replace"),
                quote_plus(part, errors="replace"),
            }
    if len(data) >= HIDE_CHARS_MIN:
        yield repr(data)[2:-1]
        yield base64.b64encode(data).decode()
