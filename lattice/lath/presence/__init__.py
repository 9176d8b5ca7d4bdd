"""Presence: each instance says that it is there, and everybody else keeps a view of who is."""

from __future__ import annotations

from lath.presence.announcer import PresenceAnnouncer
from lath.presence.timing import PRESENCE_RENEW_MS, PRESENCE_TTL_MS
from lath.presence.view import PresenceCallback, PresenceChange, PresenceView

__all__ = [
    "PRESENCE_RENEW_MS",
    "PRESENCE_TTL_MS",
    "PresenceAnnouncer",
    "PresenceCallback",
    "PresenceChange",
    "PresenceView",
]
