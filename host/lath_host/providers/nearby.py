"""What a provider built into this host reaches without the bus: the components beside it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from lath.codec import Wire
from lath.http import HttpRequest, HttpResponse
from lath.http.calling import FUNCTION, INTERFACE
from lath.names import InterfaceName
from lath.provider import Link
from lath.rpc import Caller
from lath_host.components.http_way import http_locally
from lath_host.components.local import LocalCall, LocalTarget, LocalTargets, call_locally


class Nearby:
    """Implements `lath.provider.outgoing.Nearby`.

    Args:
        targets: What runs here.
        caller: The host's, which knows the instances of all others.
        lattice: For spans.
    """

    def __init__(self, targets: LocalTargets, caller: Caller, lattice: str) -> None:
        self.caller = caller
        self._targets = targets
        self._lattice = lattice

    def find(self, target_id: str) -> Neighbour | None:
        """The target, where it runs here and can take a call now."""
        target = self._targets.find(target_id)
        return Neighbour(target, target_id, self._lattice) if target is not None else None


class Neighbour:
    """A target in this process (`lath.provider.outgoing.Neighbour`)."""

    def __init__(self, target: LocalTarget, target_id: str, lattice: str) -> None:
        self.instance_id = target.instance_id
        self._target = target
        self._target_id = target_id
        self._lattice = lattice

    async def call(
        self, link: Link, interface: InterfaceName, function: str, params: list[Wire], deadline: float
    ) -> Wire:
        """Calls a function of it, by a link; wire values in and out."""
        call = self._by(link, interface, function, params, deadline)
        return await call_locally(self._target, self._target_id, call)

    def http(self, link: Link, request: HttpRequest, deadline: float) -> Awaitable[HttpResponse]:
        """Has it answer a request, by a link."""
        call = self._by(link, INTERFACE, FUNCTION, [], deadline)
        return http_locally(self._target, self._target_id, call, request)

    def _by(
        self, link: Link, interface: InterfaceName, function: str, params: list[Any], deadline: float
    ) -> LocalCall:
        record = link.record
        hops = 1  # a provider's call begins no chain of them, so it needs no task of its own
        # In order: a class takes names by way of a dictionary, twice as slow.
        return LocalCall(
            record.source_id, record.name, interface, function, params, deadline, record.revision,
            "", self._lattice, hops,
        )  # fmt: skip
