"""Events: hints that something changed, never the truth.

wasmCloud's events are CloudEvents 1.0 (`wasmbus.evt.{lattice}.{name}`); lath's own (`lath.evt.…`) tell what
those have no event for: the states of links at each participant.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lath.model.verbs import HeldLink
from lath.names import new_id

EVENT_TYPE_PREFIX = "com.wasmcloud.lattice."


class CloudEvent(BaseModel):
    """A CloudEvents 1.0 envelope in JSON; `source` is the host id."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(default_factory=new_id)
    type: str
    source: str
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))
    datacontenttype: str = "application/json"
    data: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The event's name: `host_started`."""
        return self.type.removeprefix(EVENT_TYPE_PREFIX)


class LinkEvent(BaseModel):
    """A participant's link changed its state."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["lath.link.event.v1"] = "lath.link.event.v1"
    kind: Literal["host", "provider"]
    participant: str
    instance_id: str
    link: HeldLink
    deleted: bool = False
    at_ms: int
