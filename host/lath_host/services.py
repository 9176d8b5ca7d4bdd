"""The parts of a running host, as the control interface needs them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from lath.bus import Bus
from lath.config import ConfigStore
from lath.links import LinkStore
from lath.model import HostInfo, HostInventory
from lath.presence import PresenceView
from lath.secrets import SecretStore
from lath.verbs import LinkOps
from lath_host.components.operations import Components
from lath_host.components.routes import Routes
from lath_host.events import EventPublisher
from lath_host.identity import HostIdentity, lath_version
from lath_host.labels import Labels
from lath_host.options import HostOptions
from lath_host.providers.operations import Providers
from lath_host.secret_keys import SecretKeys


@dataclass(frozen=True, slots=True)
class Services:
    """One running host.

    Attributes:
        background: Runs an accepted operation; the host owns the task.
        wasm_features: Names of the WebAssembly proposals that are on.
        request_stop: Has the host stop, draining for so many milliseconds at most.
        incarnations: Creation times (ns) of the links' stream, as seen since the start, oldest first.
    """

    options: HostOptions
    identity: HostIdentity
    bus: Bus
    labels: Labels
    wasm_features: tuple[str, ...]
    events: EventPublisher
    presence: PresenceView
    links: LinkStore
    configs: ConfigStore
    secrets: SecretStore
    secret_keys: SecretKeys
    link_ops: LinkOps
    routes: Routes
    components: Components
    providers: Providers
    background: Callable[[Awaitable[None]], None]
    request_stop: Callable[[int], None]
    incarnations: list[int]
    started: float = field(default_factory=time.monotonic)

    @property
    def uptime_seconds(self) -> int:
        return int(time.monotonic() - self.started)

    def info(self) -> HostInfo:
        """What this host answers to a ping."""
        return HostInfo(
            id=self.identity.id,
            friendly_name=self.identity.name,
            labels=self.labels.all(),
            lattice=self.bus.lattice,
            uptime_seconds=self.uptime_seconds,
            uptime_human=uptime_human(self.uptime_seconds),
            version=lath_version(),
            ctl_host=self.options.nats_url,
            rpc_host=self.options.nats_url,
        )

    def inventory(self) -> HostInventory:
        """Everything that runs here."""
        return HostInventory(
            host_id=self.identity.id,
            friendly_name=self.identity.name,
            labels=self.labels.all(),
            version=lath_version(),
            uptime_human=uptime_human(self.uptime_seconds),
            uptime_seconds=self.uptime_seconds,
            components=self.components.descriptions(),
            providers=self.providers.descriptions(),
            incarnations=tuple(self.incarnations),
            wasm_features=self.wasm_features,
        )


def uptime_human(seconds: int) -> str:
    """Seconds as people write them: `1d 2h 3m 4s`, without leading zeros."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"))
    shown = [f"{count}{unit}" for count, unit in parts if count]
    return " ".join([*shown, f"{seconds}s"])
