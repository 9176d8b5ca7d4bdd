"""What was asked for when a component was placed on this host, and the limits that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lath.model import ComponentLimits, FuseMode, ScaleComponent
from lath_host.engine.limits import Limits


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
        updates: How often this component was updated on this host.
    """

    id: str
    ref: str
    max_instances: int
    limits: ComponentLimits = field(default_factory=ComponentLimits)
    annotations: Mapping[str, str] = field(default_factory=dict)
    config: tuple[str, ...] = ()
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
        )

    def rescaled(self, request: ScaleComponent) -> Deployment:
        """This deployment with what `request` changes; what it does not mention stays."""
        return replace(
            self,
            max_instances=request.count,
            limits=request.component_limits or self.limits,
            annotations=self.annotations if request.annotations is None else request.annotations,
            config=request.config or self.config,
        )

    def updated(self, ref: str, annotations: Mapping[str, str] | None) -> Deployment:
        """This deployment with another component in its place."""
        return replace(
            self,
            ref=ref,
            annotations=self.annotations if annotations is None else annotations,
            updates=self.updates + 1,
        )

    @property
    def fuse(self) -> FuseMode:
        """Whether it may become one with components beside it."""
        return self.limits.fuse or "auto"

    def pool_limits(self) -> Limits:
        """The engine's limits: its defaults, with what was asked for."""
        given: dict[str, Any] = self.limits.model_dump(exclude_none=True, exclude={"fuse"})
        return replace(Limits(), max_instances=self.max_instances, **given)
