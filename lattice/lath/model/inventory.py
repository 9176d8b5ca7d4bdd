"""Hosts and what they run, in the control interface's JSON (wasmCloud's field names)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lath.model.settings import Env, Patterns
from lath.names import Name, Target


class Ctl(BaseModel):
    """Base of control messages: unknown fields are ignored, absent optional ones are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_json(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


FuseMode = Literal["auto", "never", "always"]


class ComponentLimits(Ctl):
    """What one component may use on one host. Absent: the host's default.

    Attributes:
        memory_bytes_max: Linear memory of one instance.
        timeout_ms: Longest run of one call, the queue included, where its caller would wait longer.
        fuel_max: Fuel of one call.
        queue_max: Calls that may wait for an instance.
        warm_instances: Fresh instances kept ready.
        reuse: Whether an instance serves call after call, one at a time, instead of one call only.
        calls_max: Calls that a reused instance serves before it is replaced.
        idle_seconds: How long a reused instance waits for its next call before it is dropped.
        cpu_weight: Slices that its busy calls together get where another component's get one.
        fuse: Whether it becomes one component with those beside it that links join it to. `auto`: where
            results cannot differ; `never`; `always`: for those that call it also where an instance would
            serve one call only.
        lease_seconds: How long an instance whose resources somebody holds handles of is kept without a call
            or a renewal.
    """

    memory_bytes_max: Annotated[int, Field(ge=64 * 1024)] | None = None
    timeout_ms: Annotated[int, Field(ge=1, le=24 * 3600 * 1000)] | None = None
    fuel_max: Annotated[int, Field(ge=1)] | None = None
    queue_max: Annotated[int, Field(ge=0)] | None = None
    warm_instances: Annotated[int, Field(ge=0)] | None = None
    reuse: bool | None = None
    calls_max: Annotated[int, Field(ge=1)] | None = None
    idle_seconds: Annotated[int, Field(ge=1)] | None = None
    cpu_weight: Annotated[int, Field(ge=1, le=1000)] | None = None
    fuse: FuseMode | None = None
    lease_seconds: Annotated[int, Field(ge=1, le=24 * 3600)] | None = None


RunAs = Literal["service", "cgi"]
"""How a component runs that exports `wasi:cli/run`: for ever, by itself; or once for each HTTP request."""
ServiceStatus = Literal["starting", "running", "backoff", "stopped"]


class ServiceDescription(Ctl):
    """A component that runs by itself, since it exports `wasi:cli/run`.

    Attributes:
        status: `backoff` while it waits to be started again.
        restarts: How often it was started again.
        last_error: How its last run ended.
    """

    status: ServiceStatus
    restarts: int = 0
    last_error: str | None = None


class ComponentDescription(Ctl):
    """A component on a host.

    Attributes:
        revision: wasmCloud's field; lath counts the updates of this component on this host.
        limits: lath's: those that hold, its host's defaults included (ComponentLimits).
        instance_id: lath's: where calls to this host's copy are addressed.
        exports: lath's: exported interfaces with versions.
        imports: lath's: imported interfaces that need a link, with their link names (`ns:pkg/iface (name)`).
        digest: lath's: sha256 of the component.
        stats: lath's: calls, calls_fused, failures, running, queued, idle, pinned instances; and what its
            calls have used: wall_ms, cpu_ms, fuel, memory_limit_hits, instances, bytes_in, bytes_out,
            host_calls, and the last by interface as `host_calls.{interface}`.
        service: lath's: how it fares as a service; absent where it is none.
        fused: lath's: the components beside it that its calls may run fused with, now: those of sampled
            traces do not, and `calls_fused` tells how many did.
        unfused: lath's: why not, by target, where a link leads to a component beside it. A target that is in
            neither is being compiled.
        env: lath's: names of its environment variables. Their values may be secrets, and are told to nobody.
        allowed_hosts: lath's: whom it may send HTTP requests to.
        allowed_sockets: lath's: whom it may open connections to.
        run_as: lath's: how it runs, where that was said.
    """

    id: str
    image_ref: str
    name: str | None = None
    annotations: dict[str, str] | None = None
    revision: int = 0
    max_instances: int
    limits: dict[str, bool | int | str] | None = None
    instance_id: str | None = None
    exports: tuple[str, ...] | None = None
    imports: tuple[str, ...] | None = None
    digest: str | None = None
    stats: dict[str, int] | None = None
    service: ServiceDescription | None = None
    fused: tuple[str, ...] | None = None
    unfused: dict[str, str] | None = None
    env: tuple[str, ...] | None = None
    allowed_hosts: tuple[str, ...] | None = None
    allowed_sockets: tuple[str, ...] | None = None
    run_as: RunAs | None = None


ProviderStatus = Literal["starting", "running", "backoff", "stopping", "failed"]


class ProviderDescription(Ctl):
    """A provider that a host supervises.

    Attributes:
        instance_id: lath's: the running instance.
        status: lath's: `backoff` while it waits to be restarted, `failed` once it was given up.
        pid: lath's: absent for a built-in one.
        restarts: lath's.
        last_error: lath's: how the last run ended.
    """

    id: str
    image_ref: str | None = None
    name: str | None = None
    annotations: dict[str, str] | None = None
    revision: int = 0
    instance_id: str | None = None
    status: ProviderStatus | None = None
    pid: int | None = None
    restarts: int | None = None
    last_error: str | None = None


class HostInfo(Ctl):
    """A host's reply to `host.ping`."""

    id: str
    friendly_name: str
    labels: dict[str, str]
    lattice: str
    uptime_seconds: int
    uptime_human: str
    version: str
    ctl_host: str | None = None
    rpc_host: str | None = None
    js_domain: str | None = None


class HostInventory(Ctl):
    """A host's reply to `host.get.{host}`; also the data of its heartbeat.

    Attributes:
        incarnations: lath's: creation times (ns) of the links' stream, as this host has seen them since it
            started, oldest first. More than one: the bus lost its state meanwhile.
        wasm_features: lath's: the WebAssembly proposals that are on there, by the names of `--wasm-feature`.
    """

    host_id: str
    friendly_name: str
    labels: dict[str, str]
    version: str
    uptime_human: str
    uptime_seconds: int
    components: tuple[ComponentDescription, ...] = ()
    providers: tuple[ProviderDescription, ...] = ()
    incarnations: tuple[int, ...] | None = None
    wasm_features: tuple[str, ...] | None = None


class CtlReply(Ctl):
    """The envelope of every reply of the control interface. `response` is left out when there is none."""

    success: bool
    message: str = ""
    response: Any = None


class AuctionRequest(Ctl):
    component_ref: str | None = None
    component_id: Target | None = None
    provider_ref: str | None = None
    provider_id: Target | None = None
    constraints: dict[str, str] = {}


class ComponentSettings(Ctl):
    """What a component is given beside its code. Absent: what it has stays; empty: it has none any more.

    Attributes:
        env: lath's: its environment variables.
        allowed_hosts: lath's: whom it may send HTTP requests to, as patterns; empty: nobody.
        allowed_sockets: lath's: whom it may open connections to, as patterns; empty: nobody.
        run_as: lath's: how it runs, where it exports `wasi:cli/run`; a service unless this says `cgi`.
    """

    env: Env | None = None
    allowed_hosts: Patterns | None = None
    allowed_sockets: Patterns | None = None
    run_as: RunAs | None = None


class ScaleComponent(ComponentSettings):
    """`component.scale.{host}`. A count of 0 stops the component.

    Attributes:
        count: Most calls at once on that host (`max_instances`).
        allow_update: Whether another reference than the running one replaces it, and whether it may start
            from other bytes than other hosts run under that id.

    Where a setting (ComponentSettings) changes, the component is started beside itself, and the old one
    drains.
    """

    component_ref: str
    component_id: Target
    count: Annotated[int, Field(ge=0, le=1_000_000)]
    host_id: Name
    annotations: dict[str, str] | None = None
    component_limits: ComponentLimits | None = None
    config: tuple[Name, ...] = ()
    allow_update: bool = False


class UpdateComponent(ComponentSettings):
    """`component.update.{host}`. Settings are as in ScaleComponent."""

    component_id: Target
    new_component_ref: str
    host_id: Name
    annotations: dict[str, str] | None = None


class StartProvider(Ctl):
    provider_id: Target
    provider_ref: str
    host_id: Name
    config: tuple[Name, ...] = ()
    annotations: dict[str, str] | None = None


class StopProvider(Ctl):
    host_id: Name
    provider_id: Target


class StopHost(Ctl):
    host_id: Name
    timeout: Annotated[int, Field(ge=0)] | None = None


class DeleteLink(Ctl):
    source_id: Target
    name: Name = "default"
    wit_namespace: str
    wit_package: str


class Label(Ctl):
    key: Annotated[str, Field(min_length=1, max_length=256)]
    value: Annotated[str, Field(max_length=1024)] = ""
