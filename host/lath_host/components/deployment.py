"""What was asked for when a component was placed on this host, and the limits that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lath.model import ComponentLimits, FuseMode, RunAs, ScaleComponent, UpdateComponent
from lath_host.engine.limits import Limits
from lath_host.outbound.rules import HostRules


@dataclass(frozen=True, slots=True)
class Settings:
    """What a component is given beside its code. Its instances keep it for life.

    Attributes:
        env: Its environment variables.
        allowed_hosts: Patterns of whom it may send HTTP requests to.
        allowed_sockets: Patterns of whom it may open connections to.
        run_as: How it runs where it exports `wasi:cli/run`; None: as nobody has said, a service.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    allowed_hosts: tuple[str, ...] = ()
    allowed_sockets: tuple[str, ...] = ()
    run_as: RunAs | None = None

    def changed(self, request: ScaleComponent | UpdateComponent) -> Settings:
        """These settings with what `request` mentions in their place; empty is a mention."""
        return Settings(
            self.env if request.env is None else request.env,
            self.allowed_hosts if request.allowed_hosts is None else request.allowed_hosts,
            self.allowed_sockets if request.allowed_sockets is None else request.allowed_sockets,
            self.run_as if request.run_as is None else request.run_as,
        )

    def check(self) -> None:
        """Reads the patterns.

        Raises:
            InvalidArgument: One is none; the message names it.
        """
        HostRules(self.allowed_hosts)

    def shown(self) -> dict[str, Any]:
        """What may be shown, where there is something: of the environment its names alone."""
        named = {
            "env": tuple(sorted(self.env)),
            "allowed_hosts": self.allowed_hosts,
            "allowed_sockets": self.allowed_sockets,
            "run_as": self.run_as,
        }
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One component as asked for.

    Attributes:
        id: The component id.
        ref: Where its bytes come from.
        max_instances: Most calls at once on this host.
        limits: What else it may use.
        annotations: Kept for whoever asked.
        config: Names of its config.
        settings: What it is given beside its code.
        updates: How often this component was updated on this host.
    """

    id: str
    ref: str
    max_instances: int
    limits: ComponentLimits = field(default_factory=ComponentLimits)
    annotations: Mapping[str, str] = field(default_factory=dict)
    config: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)
    updates: int = 0

    @staticmethod
    def asked(request: ScaleComponent) -> Deployment:
        return Deployment(
            id=request.component_id,
            ref=request.component_ref,
            max_instances=request.count,
            limits=request.component_limits or ComponentLimits(),
            annotations=request.annotations or {},
            config=request.config,
            settings=Settings().changed(request),
        )

    def rescaled(self, request: ScaleComponent) -> Deployment:
        """This deployment with what `request` changes; what it does not mention stays."""
        return replace(
            self,
            max_instances=request.count,
            limits=request.component_limits or self.limits,
            annotations=self.annotations if request.annotations is None else request.annotations,
            config=request.config or self.config,
            settings=self.settings.changed(request),
        )

    def updated(self, request: UpdateComponent) -> Deployment:
        """This deployment with another component in its place."""
        return replace(
            self,
            ref=request.new_component_ref,
            annotations=self.annotations if request.annotations is None else request.annotations,
            settings=self.settings.changed(request),
            updates=self.updates + 1,
        )

    def runs_like(self, other: Deployment) -> bool:
        """Whether a component that runs can become `other` by limits alone, without being started anew."""
        counts_fuel = (self.limits.fuel_max is None) == (other.limits.fuel_max is None)
        return counts_fuel and (self.ref, self.settings) == (other.ref, other.settings)

    @property
    def fuse(self) -> FuseMode:
        """Whether it may become one with components beside it."""
        return self.limits.fuse or "auto"

    def pool_limits(self) -> Limits:
        """The engine's limits: its defaults, with what was asked for."""
        given: dict[str, Any] = self.limits.model_dump(exclude_none=True, exclude={"fuse"})
        return replace(Limits(), max_instances=self.max_instances, **given)
