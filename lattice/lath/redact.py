"""What may not be shown: config values that look like secrets, and every secret that this process has opened.

Named config is plain text, yet people put passwords in it; a `vping` must not spread them. What was sealed is
known exactly, so wherever this process would show it, in a log, an error, a span, it shows `HIDDEN` instead:
also where the message is a driver's, which repeats the URL that it was given.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote, quote_plus, unquote

HIDDEN: Final = "********"
_SECRET_NAME: Final = re.compile(
    r"pass(?:word|wd|phrase)?|secret|token|seed|credential|(?:api|private|access|signing)[_.-]?key|\bauth\b",
    re.IGNORECASE,
)
_URL_USER: Final = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\s]*@")
HIDE_CHARS_MIN: Final = 4
"""Shorter values are looked for nowhere: they stand in every second word by chance."""
_URL_PASSWORD: Final = re.compile(r"://[^/?#:\s]*:([^/?#\s]+)@")
"""Of a URL the password is hidden by itself too: drivers take URLs apart before they complain."""
_LINE_CHARS_MIN: Final = 16
"""Of a value of several lines each one is hidden too: messages quote keys in part."""
_VALUES_MAX: Final = 1024
"""Of those opened last."""
_FORMS_FEW: Final = 64
"""So many forms are each looked for in a text; of more, only those whose first characters stand in it."""


def redacted(values: Mapping[str, str]) -> dict[str, str]:
    """`values` with secrets hidden: by their name, or as user and password in a URL."""
    return {
        name: HIDDEN if _SECRET_NAME.search(name) else _URL_USER.sub(rf"\g<scheme>{HIDDEN}@", scrubbed(value))
        for name, value in values.items()
    }


class _Hidden:
    """What is hidden.

    Attributes:
        values: The values, the one opened last at the end, with the forms in which each might show in a text.
        forms: Those of all of them, the longest first.
        starts: The first characters of each.
    """

    values: Final[dict[str | bytes, tuple[str, ...]]] = {}
    forms: tuple[str, ...] = ()
    starts: frozenset[str] = frozenset()


_hidden: Final = _Hidden()


def hide(value: str | bytes) -> None:
    """Shows a value nowhere from now on, in this process."""
    known = _hidden.values.pop(value, None)
    _hidden.values[value] = known if known is not None else tuple(_forms(value))
    if known is not None:
        return
    if len(_hidden.values) > _VALUES_MAX:
        del _hidden.values[next(iter(_hidden.values))]
    forms = {form for forms in _hidden.values.values() for form in forms}
    _hidden.forms = tuple(sorted(forms, key=len, reverse=True))
    _hidden.starts = frozenset(form[:HIDE_CHARS_MIN] for form in forms)


def forget() -> None:
    """Hides nothing any more. For tests: one process is many participants there, one after the other."""
    _hidden.values.clear()
    _hidden.forms = ()
    _hidden.starts = frozenset()


def scrubbed(text: str) -> str:
    """`text` without any value that is hidden."""
    for form in _hidden.forms if len(_hidden.forms) <= _FORMS_FEW else _candidates(text):
        if form in text:
            text = text.replace(form, HIDDEN)
    return text


def _candidates(text: str) -> Sequence[str]:
    """The forms that may stand in a text, the longest first."""
    size = HIDE_CHARS_MIN
    starts = _hidden.starts.intersection(text[at : at + size] for at in range(len(text) - size + 1))
    return [form for form in _hidden.forms if form[:size] in starts] if starts else []


def _forms(value: str | bytes) -> Iterator[str]:
    """A value as it is, and as JSON, Python, URLs and base64 write it."""
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    text = value if isinstance(value, str) else value.decode("utf-8", "replace")
    for part in (text, text.strip()):
        if len(part) >= HIDE_CHARS_MIN:
            yield part
            yield json.dumps(part)[1:-1]
            yield json.dumps(part, ensure_ascii=False)[1:-1]
            yield repr(part)[1:-1]
            yield quote(part, safe="", errors="replace")
            yield quote_plus(part, errors="replace")
    yield from (line for line in map(str.strip, text.splitlines()) if len(line) >= _LINE_CHARS_MIN)
    for password in _URL_PASSWORD.findall(text):
        yield from (part for part in (password, unquote(password)) if len(part) >= HIDE_CHARS_MIN)
    if len(data) >= HIDE_CHARS_MIN:
        yield repr(data)[2:-1]
        yield base64.b64encode(data).decode()
