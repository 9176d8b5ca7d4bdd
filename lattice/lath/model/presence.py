"""Presence: who serves a target right now, as each instance says of itself."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from lath import subjects
from lath.names import Name

ParticipantKind = Literal["host", "component", "provider"]


class Presence(BaseModel):
    """One entry of the presence bucket.

    Attributes:
        kind: What it is. A component has one entry on each host that runs it.
        target: The id that calls go to; for a host, its host id.
        instance_id: This instance, new at every start; for a host, its host id.
        host_id: The host that it runs on; empty for a provider that stands alone.
        started_ms: Wall clock at its start, milliseconds since the epoch.
        version: lath's version there.
        name: A friendly name, for people.
        interfaces: What it serves, with versions: `wasi:keyvalue/store@0.2.0-draft`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["lath.presence.v1"] = "lath.presence.v1"
    kind: ParticipantKind
    target: Name
    instance_id: Name
    host_id: str = ""
    started_ms: int
    version: str
    name: str = ""
    interfaces: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        if self.kind == "host":
            return subjects.host_presence_key(self.target)
        return subjects.presence_key(self.target, self.instance_id)
