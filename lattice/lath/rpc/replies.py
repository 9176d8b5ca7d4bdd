"""Which messages may be answered."""

from __future__ import annotations

from lath.subjects import NEVER_REPLY_PREFIXES


def may_answer(reply: str) -> bool:
    """Whether `reply` is there and may be answered to: an inbox, not a subject that means something."""
    return bool(reply) and not reply.startswith(NEVER_REPLY_PREFIXES)
