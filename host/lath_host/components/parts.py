"""What every component of a host shares with the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lath.bus import Bus
from lath.rpc import Caller
from lath_host.components.fusion import Fusion
from lath_host.components.guest_secrets import GuestSecrets
from lath_host.components.local import LocalTargets
from lath_host.components.routes import Routes
from lath_host.engine.engine import Engine
from lath_host.outbound.ways import WaysOut


@dataclass(frozen=True, slots=True)
class ComponentParts:
    """The host's own parts, as its components use them."""

    bus: Bus
    engine: Engine
    routes: Routes
    targets: LocalTargets
    caller: Caller
    host_id: str
    config_values: Callable[[tuple[str, ...]], Mapping[str, str]]
    presence_ttl_ms: int
    fusion: Fusion
    ways: WaysOut
    secrets_of: Callable[[str], GuestSecrets]
