"""Presence: each instance says that it is there, and everybody else keeps a view of who is."""

from __future__ import annotations

from lath.presence.announcer import PresenceAnnouncer
from lath.presence.view import PresenceCallback, PresenceChange, PresenceView

__all__ = [
    "PresenceAnnouncer",
    "PresenceCallback",
    "PresenceChange",
    "PresenceView",
]
