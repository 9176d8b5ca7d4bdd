"""What a host is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lath.bus import Credentials
from lath.model import PRESENCE_TTL_MS
from lath_host.engine.budget import WarmBudget
from lath_host.events import HEARTBEAT_SECONDS

DRAIN_MS: Final = 10_000
"""How long a stopping host lets running calls finish: the default time-out of a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """Options of one host.

    Attributes:
        nats_url: The bus; several URLs are joined by commas.
        lattice: The lattice to join.
        name: The friendly name; a readable one is made up by default.
        labels: Labels of this host, beside `hostcore.*`.
        credentials: How it signs in to the bus.
        provider_credentials: By provider id, what a supervised provider signs in with. One that is not
            named here gets the host's own.
        data_dir: Where compiled components are kept between runs; None keeps them in memory.
        seed: An nkey seed (`SN…`), to keep the host id through restarts.
        host_id: An id to use as it is, instead of a seed.
        drain_ms: Longest wait for running calls when it stops.
        heartbeat_s: Seconds between two `host_heartbeat` events.
        replicas: Of the buckets, where this host is the one that makes them; 3 on a cluster of three.
        presence_ttl_ms: How long the presence of the host, and of all that runs here, holds without renewal;
            milliseconds, in whole seconds from 1 to 600.
        threads: How many busy guests may compute at once, beside the loop; None: one per core.
        warm_memory_mib: Sum of the memory limits of all instances that wait for calls, MiB; None: four times
            the machine's memory.
        ca_files: Certificates of authorities (PEM) that components' requests trust beside the system's.
        wasm_features: WebAssembly proposals that are not as by default: `NAME`, `NAME=on` or `NAME=off`.
        secrets_key: The file with the seeds of the lattice's secrets; None: none can be opened here.
    """

    nats_url: str = "nats://127.0.0.1:4222"
    lattice: str = "default"
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    credentials: Credentials | None = None
    provider_credentials: Mapping[str, Credentials] = field(default_factory=dict)
    data_dir: Path | None = None
    seed: str = ""
    host_id: str = ""
    drain_ms: int = DRAIN_MS
    heartbeat_s: float = HEARTBEAT_SECONDS
    replicas: int = 1
    presence_ttl_ms: int = PRESENCE_TTL_MS
    threads: int | None = None
    warm_memory_mib: int | None = None
    ca_files: tuple[Path, ...] = ()
    wasm_features: tuple[str, ...] = ()
    secrets_key: Path | None = None

    @property
    def warm_budget(self) -> WarmBudget:
        """For the engine."""
        return WarmBudget(None if self.warm_memory_mib is None else self.warm_memory_mib << 20)
