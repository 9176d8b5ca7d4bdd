"""A caller and a callee, placed in every way that there is; each test says what holds in all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from placed_guests import ECHO, FRONT

from lath import subjects
from lath.codec import pack, unpack
from lath.errors import LathError
from lath.model import ComponentDescription
from lath.names import CLIENT_SOURCE, NO_LINK
from lath.testing import eventually
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
COMPILED_S = 250.0
"""Two Python components in one may take that long, in a thread of low priority; then they are cached."""


class Placed:
    """A lattice in which `front` calls `back`.

    Attributes:
        way: "fused" and "co-located" (both on the first host), or "across hosts".
        lattice: The lattice.
        front_host: Where callers run.
        back_host: Where callees run.
        only_fused: Whether no call may reach `back` by itself, where the two are fused. A test that changes
            something while they run takes this back.
    """

    def __init__(self, way: str, lattice: InProcessLattice, back_host: Host) -> None:
        self.way = way
        self.lattice = lattice
        self.front_host = lattice.hosts[0]
        self.back_host = back_host
        self.only_fused = False

    @property
    def fuses(self) -> bool:
        return self.way == "fused"

    async def start(
        self,
        component_id: str,
        source: Source,
        *,
        host: Host,
        limits: dict[str, Any] | None = None,
        **scale: Any,
    ) -> None:
        """Places a component; its instances serve call after call, unless `limits` say otherwise."""
        given = {"reuse": True, "fuse": "auto" if self.fuses else "never", **(limits or {})}
        event = await self.lattice.start_component(
            component_id, source, host=host, component_limits=given, **scale
        )
        assert event.name == "component_scaled", event.data

    async def pair(
        self,
        front: Source,
        back: Source,
        interface: str = ECHO,
        *,
        back_limits: dict[str, Any] | None = None,
        unfused: str = "",
    ) -> None:
        """Places `front` and `back`, with a link for `interface` from one to the other.

        Args:
            unfused: Where given, these two are never fused, and the host says so in these words.
        """
        await self.start("back", back, host=self.back_host, limits=back_limits)
        await self.start("front", front, host=self.front_host)
        await self.joined(interface, unfused=unfused)

    async def joined(self, interface: str = ECHO, *, unfused: str = "") -> None:
        """Links `front` to `back`, and waits until they run in the way of the test."""
        await self.lattice.link("front", "back", interface)
        if not self.fuses:
            return
        if unfused:
            await eventually(lambda: unfused in self._fusion()[1].get("back", ""))
        else:
            await eventually(lambda: any("back" in each for each in self._fusion()), COMPILED_S)
            fused, reasons = self._fusion()
            assert fused == ("back",), reasons
            self.only_fused = True

    def _fusion(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """What `front` runs fused with, and why not with others; in neither is what is being compiled."""
        front = self.described("front")
        return front.fused or (), front.unfused or {}

    def described(self, component_id: str) -> ComponentDescription:
        """A component of the front's host."""
        return self.front_host.services.components.get(component_id).describe()

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


@pytest.fixture(params=["fused", "co-located", "across hosts"])
async def placed(
    request: pytest.FixtureRequest, lattice_in_process: InProcessLattice
) -> AsyncIterator[Placed]:
    """The lattice for one way."""
    lattice = lattice_in_process
    across = request.param == "across hosts"
    back_host = (await lattice.add_hosts(1))[0] if across else lattice.hosts[0]
    made = Placed(request.param, lattice, back_host)
    yield made
    if made.only_fused:
        assert (made.described("back").stats or {})["calls"] == 0


__all__ = ["engine", "host", "hosts", "lattice_in_process", "presence_ttl_ms"]
