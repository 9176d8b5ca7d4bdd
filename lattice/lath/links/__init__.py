"""Links: the store that writes them, a view that follows them, the repair of what a writer left undone."""

from __future__ import annotations

from lath.links.record import CONFIG_BYTES_MAX, config_bytes, read_config, read_link
from lath.links.repair import Repair
from lath.links.store import LinkListing, LinkStore
from lath.links.view import LinkCallback, LinkChange, LinkView

__all__ = [
    "CONFIG_BYTES_MAX",
    "LinkCallback",
    "LinkChange",
    "LinkListing",
    "LinkStore",
    "LinkView",
    "Repair",
    "config_bytes",
    "read_config",
    "read_link",
]
