"""Subjects and patterns: tokens parted by dots; in a pattern `*` is one token, `>` at the end all the rest.

They are checked here since both come from outside: subjects from components, patterns from link config.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lath.errors import InvalidArgument
from lath.names import shown

SUBJECT_BYTES_MAX: Final = 1_024
"""A server refuses control lines above 4 KiB: subject, reply subject and sizes together."""
ONE: Final = "*"
REST: Final = ">"


def check_subject(subject: str, what: str = "subject") -> str:
    """Returns `subject` when a message can be sent to it.

    Args:
        subject: What is checked.
        what: What to call it in the error.

    Raises:
        InvalidArgument: It is too long, has an empty token, a space, a control character or a wildcard.
    """
    tokens = _tokens(subject, what)
    if ONE in tokens or REST in tokens:
        raise InvalidArgument(f"{what} {shown(subject)} has a wildcard: messages are sent to one subject")
    return subject


def check_pattern(pattern: str, what: str = "subject") -> str:
    """Returns `pattern` when it can be subscribed to; wildcards are allowed.

    Raises:
        InvalidArgument: As `check_subject`, or `>` stands elsewhere than at the end.
    """
    tokens = _tokens(pattern, what)
    if REST in tokens[:-1]:
        raise InvalidArgument(f"{what} {shown(pattern)} has > before its end: it stands for all the rest")
    return pattern


def matches(pattern: str, subject: str) -> bool:
    """Whether a pattern takes a subject."""
    return _meet(pattern.split("."), subject.split("."))


def overlap(one: str, other: str) -> bool:
    """Whether there is a subject that both patterns take."""
    return _meet(one.split("."), other.split("."))


def check_apart(patterns: Sequence[str]) -> None:
    """Checks that no message comes by two of the patterns.

    Raises:
        InvalidArgument: Two of them overlap; the message names them.
    """
    for place, one in enumerate(patterns):
        for other in patterns[place + 1 :]:
            if overlap(one, other):
                raise InvalidArgument(f"{one} and {other} overlap, so messages would be handled twice")


def any_matches(patterns: Iterable[str], subject: str) -> bool:
    """Whether one of the patterns takes a subject."""
    tokens = subject.split(".")
    return any(_meet(pattern.split("."), tokens) for pattern in patterns)


def _meet(one: Sequence[str], other: Sequence[str]) -> bool:
    for left, right in zip(one, other, strict=False):
        if REST in (left, right):
            return True
        if left != right and ONE not in (left, right):
            return False
    return len(one) == len(other)


def _tokens(subject: str, what: str) -> list[str]:
    size = len(subject) if len(subject) > SUBJECT_BYTES_MAX else len(subject.encode(errors="replace"))
    if size > SUBJECT_BYTES_MAX:
        raise InvalidArgument(f"{what} of {size} bytes is too long: it may have {SUBJECT_BYTES_MAX}")
    tokens = subject.split(".")
    if "" in tokens:
        raise InvalidArgument(f"{what} {shown(subject)} is not valid: it, or one of its tokens, is empty")
    if any(not char.isprintable() or char.isspace() for char in subject):
        raise InvalidArgument(f"{what} {shown(subject)} is not valid: it has spaces or control characters")
    return tokens
