"""Tells the lattice what this client wrote, with the events that a host sends when it writes.

Events are hints: one that cannot be sent is dropped, and nobody misses a write by it.
"""

from __future__ import annotations

import contextlib
from typing import Any

from lath import subjects
from lath.bus import Bus
from lath.errors import LathError
from lath.model import EVENT_TYPE_PREFIX, CloudEvent, Link, LinkSpec
from lath.names import CLIENT_SOURCE


async def tell(bus: Bus, name: str, data: dict[str, Any]) -> None:
    """Publishes one event. Its source is `_client`, where a host would put its id."""
    event = CloudEvent(type=EVENT_TYPE_PREFIX + name, source=CLIENT_SOURCE, data=data)
    with contextlib.suppress(LathError):
        await bus.publish(subjects.wasmbus_event(bus.lattice, name), event.model_dump_json().encode())


async def tell_link_set(bus: Bus, spec: LinkSpec) -> None:
    """Says that a link was written."""
    await tell(bus, "linkdef_set", spec.model_dump(mode="json", include=set(LinkSpec.model_fields)))


async def tell_link_deleted(bus: Bus, link: Link) -> None:
    """Says that a link was deleted."""
    fields = {"source_id", "name", "wit_namespace", "wit_package", "target", "interfaces"}
    await tell(bus, "linkdef_deleted", link.model_dump(mode="json", include=fields))


async def tell_config(bus: Bus, event: str, name: str) -> None:
    """Says that a config was written (`config_set`) or deleted (`config_deleted`)."""
    await tell(bus, event, {"config_name": name})
