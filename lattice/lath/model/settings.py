"""What a component is given beside its code: its environment, and whom it may reach; the shapes, checked."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from lath.errors import InvalidArgument
from lath.names import shown

ENV_CHARS_MAX: Final = 64 * 1024
"""Names and values together: far above what any program reads, and small beside the bus's `max_payload`."""
ENV_NAME_CHARS_MAX: Final = 256
PATTERNS_MAX: Final = 256
"""They are looked through for every connection, and stand in every heartbeat."""
PATTERN_CHARS_MAX: Final = 512
"""A host name has at most 253."""
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
"""What Python makes of bytes on a command line that are not UTF-8."""
_NO_PATTERN: Final = re.compile(r"[\s\x00-\x1f\x7f]")


def check_env(env: dict[str, str]) -> dict[str, str]:
    """Returns `env` when it may be a component's environment.

    Raises:
        InvalidArgument: A name that is not of letters, digits, `_`, `.` and `-`, or does not begin with a
            letter or `_`; a value that no environment can hold; or too much in all. Values are never shown.
    """
    for name, value in env.items():
        if len(name) > ENV_NAME_CHARS_MAX or not _ENV_NAME.match(name):
            raise InvalidArgument(
                f"{shown(name)} is not the name of an environment variable: use up to {ENV_NAME_CHARS_MAX} "
                "letters, digits, _ . -, the first a letter or _"
            )
        if "\0" in value or _SURROGATE.search(value):
            raise InvalidArgument(f"the value of {name} has a NUL in it, or is not UTF-8")
    size = sum(len(name) + len(value) for name, value in env.items())
    if size > ENV_CHARS_MAX:
        raise InvalidArgument(
            f"it has {size} characters, and may have {ENV_CHARS_MAX}: give large values as config"
        )
    return env


def check_patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Returns `patterns` when each may be one; what it says is read where it is used.

    Raises:
        InvalidArgument: One is empty, too long, or has white space in it; or there are too many.
    """
    if len(patterns) > PATTERNS_MAX:
        raise InvalidArgument(f"{len(patterns)} patterns were given, {PATTERNS_MAX} are the most")
    for pattern in patterns:
        if not pattern or len(pattern) > PATTERN_CHARS_MAX or _NO_PATTERN.search(pattern):
            raise InvalidArgument(
                f"{shown(pattern)} is not a pattern: use 1 to {PATTERN_CHARS_MAX} characters, no white space"
            )
    return patterns


Env = Annotated[dict[str, str], AfterValidator(check_env)]
Patterns = Annotated[tuple[str, ...], AfterValidator(check_patterns)]
