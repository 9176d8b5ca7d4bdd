"""A caller and a callee, placed in every way that there is; each test says what holds in all of them."""

from __future__ import annotations

from typing import Any

import pytest
from placed_guests import ECHO, FRONT

from lath import subjects
from lath.codec import pack, unpack
from lath.errors import LathError
from lath.names import CLIENT_SOURCE, NO_LINK
from lath_host import Host
from lath_host.testing import (
    InProcessLattice,
    engine,
    host,
    hosts,
    lattice_in_process,
    presence_ttl_ms,
)

Source = str | bytes


class Placed:
    """A lattice in which `front` calls `back`.

    Attributes:
        way: "co-located" (both on the first host), or "across hosts".
        lattice: The lattice.
        front_host: Where callers run.
        back_host: Where callees run.
    """

    def __init__(self, way: str, lattice: InProcessLattice, back_host: Host) -> None:
        self.way = way
        self.lattice = lattice
        self.front_host = lattice.hosts[0]
        self.back_host = back_host

    async def start(
        self,
        component_id: str,
        source: Source,
        *,
        host: Host,
        limits: dict[str, Any] | None = None,
        **scale: Any,
    ) -> None:
        """Places a component; one instance serves call after call, unless `limits` say otherwise."""
        given = {"reuse": True, "fuse": "never", **(limits or {})}
        event = await self.lattice.start_component(
            component_id, source, host=host, component_limits=given, **scale
        )
        assert event.name == "component_scaled", event.data

    async def pair(
        self, front: Source, back: Source, interface: str = ECHO, *, back_limits: dict[str, Any] | None = None
    ) -> None:
        """Places `front` and `back`, with a link for `interface` from one to the other."""
        await self.start("back", back, host=self.back_host, limits=back_limits)
        await self.start("front", front, host=self.front_host)
        await self.lattice.link("front", "back", interface)

    async def say(self, text: str, **options: Any) -> str:
        """What `front` answers."""
        return str(await self.lattice.call("front", FRONT, "say", text, **options))

    async def failure(self, text: str, **options: Any) -> LathError:
        """How a call of `front` fails."""
        return await self.lattice.failure("front", FRONT, "say", text, **options)

    async def call_world(self, function: str, *params: Any, timeout_ms: int = 20_000) -> Any:
        """Calls a function of the world of `front` itself."""
        tail = subjects.call_tail(CLIENT_SOURCE, NO_LINK, None, function)
        reply = await self.lattice.caller.call(
            "front", tail, pack(list(params)), timeout_ms=timeout_ms, linked=False
        )
        return unpack(reply)

    def running(self, component_id: str) -> int:
        """How many calls run in a component."""
        host = self.back_host if component_id == "back" else self.front_host
        return int((host.services.components.get(component_id).describe().stats or {})["running"])


@pytest.fixture(params=["co-located", "across hosts"])
async def placed(request: pytest.FixtureRequest, lattice_in_process: InProcessLattice) -> Placed:
    """The lattice for one way."""
    lattice = lattice_in_process
    across = request.param == "across hosts"
    back_host = (await lattice.add_hosts(1))[0] if across else lattice.hosts[0]
    return Placed(request.param, lattice, back_host)


__all__ = ["engine", "host", "hosts", "lattice_in_process", "presence_ttl_ms"]
