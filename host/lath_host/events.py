"""The host's events: CloudEvents on `wasmbus.evt.…`.

An event is a hint. One that cannot be sent (no connection) is dropped with a line in the log: whoever needs
the truth asks the host, KV or presence.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from lath import subjects
from lath.bus import Bus
from lath.errors import LathError
from lath.model import EVENT_TYPE_PREFIX, CloudEvent
from lath.telemetry import get_logger

HEARTBEAT_SECONDS: Final = 30.0
"""What the control interface's clients expect; a host is given up after two missing ones there."""

_log = get_logger(__name__)


class EventPublisher:
    """Publishes the events of one host."""

    def __init__(self, bus: Bus, host_id: str) -> None:
        self._bus = bus
        self._host_id = host_id

    async def publish(self, name: str, data: BaseModel | dict[str, Any]) -> None:
        """Sends one event; logs it where it cannot be sent, and never raises for that.

        Args:
            name: Its name, without prefix: `host_started`.
            data: Its data; None fields of a model are left out.
        """
        fields = data.model_dump(mode="json", exclude_none=True) if isinstance(data, BaseModel) else data
        event = CloudEvent(type=EVENT_TYPE_PREFIX + name, source=self._host_id, data=fields)
        try:
            await self._bus.publish(
                subjects.wasmbus_event(self._bus.lattice, name), event.model_dump_json().encode()
            )
        except LathError as e:
            _log.info("event not sent", event_name=name, reason=str(e))
