"""Has the component at the other end of a link handle messages, each in its own trace."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final

from lath import telemetry
from lath.codec import Record
from lath.provider import Link
from lath.provider.base import Caller
from lath_providers.messaging.message import HANDLE, HANDLER

SYSTEM_NATS: Final = "nats"


@dataclass(slots=True)
class Counts:
    """What became of the messages of one link at this instance.

    Attributes:
        handled: The component returned ok.
        failed: It returned an error, or its call failed.
        redelivered: Came a second time, or more often.
        dead: Given up, and kept under the dead-letter subject.
        dropped: Lost, since too many waited.
    """

    handled: int = 0
    failed: int = 0
    redelivered: int = 0
    dead: int = 0
    dropped: int = 0


class Handling:
    """Calls the component of a link.

    Args:
        call: The provider's calls.
        link: A link of which the provider is the source.
        timeout_ms: How long a call may take.
        system: What carries the messages, for spans.
        source: What was subscribed to, for the names of spans: it has few values, subjects may have many.
    """

    def __init__(self, call: Caller, link: Link, timeout_ms: int, system: str, source: str) -> None:
        self._call = call
        self._link = link
        self._timeout_ms = timeout_ms
        self._system = system
        self._name = f"process {source}"

    def handle(self, message: Record, headers: Mapping[str, str] | None) -> Awaitable[None]:
        """Hands a message over. Nobody else uses the trace of the task in which that is awaited.

        Args:
            message: A `broker-message`.
            headers: What came with it: the trace.

        Returns:
            What ends once the component has returned ok.

        Raises:
            OpError: The component returned an error.
            LathError: The call failed.
        """
        telemetry.replace_current(telemetry.extract(headers))
        if telemetry.sampled():
            return self._traced(message)
        return self._call(self._link, HANDLER, HANDLE, message, timeout_ms=self._timeout_ms)

    async def _traced(self, message: Record) -> None:
        attributes: dict[str, str | bool | int | float] = {
            "messaging.system": self._system,
            "messaging.operation.type": "process",
            "messaging.destination.name": message.subject,
            "messaging.message.body.size": len(message.body),
            "lath.link": self._link.name,
            "lath.target": self._link.target,
        }
        with telemetry.span(self._name, "server", attributes):
            await self._call(self._link, HANDLER, HANDLE, message, timeout_ms=self._timeout_ms)
