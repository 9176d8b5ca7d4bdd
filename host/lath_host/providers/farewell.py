"""Says goodbye for a provider's process that ended without doing so itself.

The host sees the process end, so nobody has to wait for the presence of the dead instance to expire.
"""

from __future__ import annotations

from lath import subjects
from lath.bus import Bus, jetstream
from lath.bus.entry import DELETED
from lath.errors import LathError
from lath.presence.timing import WITHDRAWN_KEPT_S
from lath.telemetry import get_logger

_log = get_logger(__name__)


async def end_presence(bus: Bus, target: str, instance_id: str) -> None:
    """Ends the presence of an instance; where that cannot be written, it expires by itself."""
    key = subjects.key_subject("presence", bus.lattice, subjects.presence_key(target, instance_id))
    headers = {subjects.HEADER_KV_OPERATION: DELETED, subjects.HEADER_TTL: f"{WITHDRAWN_KEPT_S}s"}
    try:
        await jetstream.publish(bus, key, b"", headers=headers)
    except LathError as e:
        _log.info("presence of a dead instance is left to expire", target=target, reason=str(e))
