"""Presence: who serves a target right now, as each instance says of itself."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from lath import subjects
from lath.errors import InvalidArgument
from lath.names import Name

PRESENCE_TTL_MS: Final = 15_000
"""How long presence holds where nobody chose: it ends soon after its instance, and costs few messages."""
_TTL_MS_MAX: Final = 600_000
"""Whoever waits for an instance that is lost waits for this long at most."""


def check_presence_ttl(ttl_ms: int) -> int:
    """How long presence may hold: milliseconds, in whole seconds, as the bus counts no finer.

    Raises:
        InvalidArgument: It may not hold for so long.
    """
    if not 1_000 <= ttl_ms <= _TTL_MS_MAX or ttl_ms % 1_000:
        raise InvalidArgument(
            f"a presence TTL of {ttl_ms} ms is not valid: use whole seconds, 1000 to {_TTL_MS_MAX} ms"
        )
    return ttl_ms


PresenceTtl = Annotated[int, AfterValidator(check_presence_ttl)]

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
        ttl_ms: How long this holds without renewal.
        digest: Of a component: SHA-256 of its source, in hex. Absent: of another kind, or from an older lath.
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
    ttl_ms: PresenceTtl = PRESENCE_TTL_MS
    digest: str | None = None

    @property
    def key(self) -> str:
        if self.kind == "host":
            return subjects.host_presence_key(self.target)
        return subjects.presence_key(self.target, self.instance_id)
