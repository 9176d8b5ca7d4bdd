"""`wasi:http/outgoing-handler` for one component: sends what it may, and says what it may not and why."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final

from lath import telemetry
from lath.errors import Unavailable
from lath.telemetry import Span, get_logger
from lath_host.engine.http.messages import HttpFailure, IncomingResponse, OutgoingRequest
from lath_host.engine.sockets.network import SocketBudget
from lath_host.outbound.addresses import Address, kind_of
from lath_host.outbound.attempt import Attempt
from lath_host.outbound.requests import destination_of, headers_of, path_of
from lath_host.outbound.rules import Destination, HostRules
from lath_host.outbound.ways import WaysOut

if TYPE_CHECKING:
    from lath_host.outbound.transport import Transport

INTERFACE: Final = "wasi:http/outgoing-handler"
TOLD_MAX: Final = 64
"""Refusals that are told of one component, each once: one that makes names up does not fill the log."""
_DENIED: Final = "HTTP-request-denied"

_log = get_logger(__name__)


class OutgoingClient:
    """Sends the requests of one component's guests (engine.http.messages.HttpClient).

    Args:
        component_id: Whose.
        allowed_hosts: Patterns of whom it may send to (`rules.HostPattern`).
        ways: What it shares with the host's others.
        budget: What the guests of all of them may have open together; None: it has one of its own.

    Raises:
        InvalidArgument: One of `allowed_hosts` is no pattern.
    """

    def __init__(
        self,
        component_id: str,
        allowed_hosts: Iterable[str],
        ways: WaysOut,
        budget: SocketBudget | None = None,
    ) -> None:
        self._component_id = component_id
        self._rules = HostRules(allowed_hosts)
        self._ways = ways
        self._budget = budget or SocketBudget()
        self._refusals = _Refusals(component_id)
        self._transport: asyncio.Task[Transport] | None = None

    async def send(self, request: OutgoingRequest) -> IncomingResponse:
        """Sends a request and returns once the response has begun.

        Raises:
            HttpFailure: It may not be sent, or there is no response.
        """
        destination = destination_of(request)
        pattern = self._rules.covering(destination)
        if pattern is None:
            self._refusals.tell(destination)
            raise HttpFailure(_DENIED)
        path = path_of(request)
        given = telemetry.current()
        began, kind = perf_counter(), "cancelled"
        try:
            with _span(request, destination, path) as span:
                outcome = await self._outcome(request, destination, path, given)
                if isinstance(outcome, HttpFailure):
                    (kind,) = outcome.code
                    span.fail(kind, str(outcome))
                else:
                    kind = "ok"
                    span.set("http.response.status_code", outcome.status)
        finally:
            duration_ms = (perf_counter() - began) * 1000
            telemetry.record_call("client", pattern.text, INTERFACE, "handle", kind, duration_ms)
        if isinstance(outcome, HttpFailure):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Closes its connections, those in use as well."""
        if self._transport is not None:
            self._transport.cancel()
            await asyncio.wait([self._transport])
            if not self._transport.cancelled() and self._transport.exception() is None:
                await self._transport.result().close()

    async def _outcome(
        self,
        request: OutgoingRequest,
        destination: Destination,
        path: str,
        given: telemetry.TraceContext | None,
    ) -> IncomingResponse | HttpFailure:
        try:
            return await self._send(request, destination, path, headers_of(request, given))
        except HttpFailure as failure:
            return failure

    async def _send(
        self, request: OutgoingRequest, destination: Destination, path: str, headers: list[tuple[str, str]]
    ) -> IncomingResponse:
        if self._transport is None:
            self._transport = asyncio.get_running_loop().create_task(self._ways.transport(self._budget))
        try:
            transport = await asyncio.shield(self._transport)
        except Unavailable as error:
            raise HttpFailure("internal-error", error.message) from None
        attempt = Attempt(
            destination,
            lambda address: self._rules.reach(destination, address),
            lambda addresses: self._refusals.tell_addresses(destination, addresses),
        )
        if not isinstance(destination.host, str) and not attempt.permits(destination.host):
            attempt.refused([destination.host])
            raise HttpFailure("destination-IP-prohibited")
        return await transport.send(request, headers, path, attempt)


class _Refusals:
    """Tells the operator what was refused, each once, and what would allow it.

    Args:
        component_id: Of whom.
    """

    def __init__(self, component_id: str) -> None:
        self._component_id = component_id
        self._told: set[Destination] = set()

    def tell(self, destination: Destination) -> None:
        """No pattern covers it."""
        self._tell(destination, destination, "none of its allowed hosts covers it")

    def tell_addresses(self, destination: Destination, addresses: Sequence[Address]) -> None:
        """Its host leads to these only."""
        for address in addresses:
            leads = "it is" if destination.host == address else f"it leads to {address}, which is"
            self._tell(destination, destination.at(address), f"{leads} {kind_of(address)}")

    def _tell(self, destination: Destination, missing: Destination, why: str) -> None:
        if missing in self._told or len(self._told) == TOLD_MAX:
            return
        self._told.add(missing)
        _log.warning(
            "request refused",
            component_id=self._component_id,
            destination=str(destination),
            reason=why,
            allow_host=str(missing),
        )
        if len(self._told) == TOLD_MAX:
            _log.warning("more refused requests are not told", component_id=self._component_id)


def _span(request: OutgoingRequest, destination: Destination, path: str) -> Span:
    """By OpenTelemetry's conventions; without the query, which may have secrets in it."""
    if not telemetry.sampled():
        return telemetry.NO_SPAN
    return telemetry.span(
        request.method,
        "client",
        {
            "http.request.method": request.method,
            "server.address": str(destination.host),
            "server.port": destination.port,
            "url.full": f"{destination}{path.partition('?')[0]}",
        },
    )
