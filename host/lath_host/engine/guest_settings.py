"""What the guests of one component have in common, as the limits are now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lath_host.engine.handles import Home
from lath_host.engine.linkage import ImportHandler, Linkage
from lath_host.engine.places import Places
from lath_host.engine.surroundings import Surroundings
from lath_host.engine.threads import Share
from lath_host.engine.usage import Usage
from lath_host.engine.wasi.environment import Environment

if TYPE_CHECKING:
    from lath_host.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class GuestSettings:
    """What the guests of one component share.

    Attributes:
        engine: Clock and threads.
        wasm_engine: Address of the wasm engine.
        component: The compiled component, kept alive.
        component_at: Its address.
        linkage: What they are linked to.
        on_import: Answers imports.
        memory_bytes_max: Limit of each linear memory.
        fuel_max: Fuel for one call; None: not metered.
        usage: Counts instances.
        home: Where their own resources live.
        share: In the threads that busy guests go on in.
        surroundings: What they are given, and whom they may reach.
        environment: What native WASI tells them; None: they cannot ask it.
        busy_exports: Export indices whose last call computed for longer than a slice: the next starts in a
            thread. Otherwise every new call of them would hold the loop for a slice.
        spare_places: Memory of guests that are gone, for those that come.
    """

    engine: Engine
    wasm_engine: int
    component: Any
    component_at: int
    linkage: Linkage
    on_import: ImportHandler
    memory_bytes_max: int
    fuel_max: int | None
    usage: Usage
    home: Home
    share: Share
    surroundings: Surroundings
    environment: Environment | None
    busy_exports: set[int] = field(default_factory=set)
    spare_places: list[Places] = field(default_factory=list)
