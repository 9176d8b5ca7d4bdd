"""Where a component may send messages to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lath.errors import InvalidArgument, PermissionDenied
from lath.names import shown
from lath.subjects import NEVER_REPLY_PREFIXES
from lath_providers.messaging.subjects import any_matches, check_subject

INBOX: Final = "_INBOX"
"""How subjects begin that answers are awaited on: nats-py's own, and those of participants (`_INBOX_…`)."""
_CONTROL_TOKENS: Final = tuple(prefix.rstrip(".") for prefix in NEVER_REPLY_PREFIXES)


class Rights:
    """The subjects that a component may name, as where a message goes to and as where to answer.

    Args:
        allowed: Patterns.
        guarded: Whether the broker is also a lattice's bus: its own subjects are then refused, whatever is
            allowed, since a message there is a command.
    """

    def __init__(self, allowed: Sequence[str], *, guarded: bool) -> None:
        self._allowed = tuple(allowed)
        self._guarded = guarded

    def check(self, subject: str, reply_to: str | None = None) -> None:
        """Checks a message before it is sent.

        Raises:
            InvalidArgument: One of them is no subject.
            PermissionDenied: The component may not name it; the message says why.
        """
        check_subject(subject)
        if reply_to is not None:
            check_subject(reply_to, "reply-to")
            self._check_guarded(reply_to, "reply-to")
        self._check_guarded(subject, "subject")
        if not is_inbox(subject) and not any_matches(self._allowed, subject):
            raise PermissionDenied(
                f"subject {shown(subject)} is not allowed to this component: the link's publish_allow has"
                f" {', '.join(self._allowed) or 'nothing'}"
            )

    def _check_guarded(self, subject: str, what: str) -> None:
        if self._guarded and subject.startswith(NEVER_REPLY_PREFIXES):
            raise PermissionDenied(f"{what} {shown(subject)} belongs to the lattice or its server")


def is_inbox(subject: str) -> bool:
    """Whether somebody awaits an answer there; inboxes have names that nobody can guess."""
    first, dot, _ = subject.partition(".")
    return bool(dot) and (first == INBOX or first.startswith(f"{INBOX}_"))


def check_guarded_pattern(pattern: str) -> None:
    """Checks what a link names on a lattice's own bus.

    Raises:
        InvalidArgument: It takes messages of the lattice itself, or answers to others.
    """
    first = pattern.split(".")[0]
    if first in ("*", ">"):
        raise InvalidArgument(
            f"{pattern} begins with a wildcard, so that it takes the lattice's own messages:"
            " on the lattice's bus the first token is to be a name"
        )
    if first.startswith(("$", INBOX)) or first in _CONTROL_TOKENS:
        raise InvalidArgument(f"{pattern} belongs to the lattice or its server")
