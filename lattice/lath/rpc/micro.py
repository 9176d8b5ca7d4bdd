"""NATS micro: `nats micro ls`, `info` and `stats` show every host and provider instance.

One subscription per connection answers for everything in this process; the services of nats-py would each
bring nine, and endpoints of their own.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import weakref
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from nats.aio.msg import Msg
from pydantic import BaseModel, Field

from lath.errors import InvalidArgument, LathError
from lath.rpc.replies import may_answer
from lath.rpc.stats import CallStats
from lath.subjects import MICRO_PATTERN, MICRO_RESPONSES, MicroVerb, parse_micro
from lath.telemetry import get_logger

if TYPE_CHECKING:
    from lath.bus import Bus

_log = get_logger("lath.rpc")

_SEMVER: Final = re.compile(r"\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?\Z")
_VERSION_OTHER: Final = "0.0.0"
_LATH_VERSION: Final = version("lath")
_responders: Final[weakref.WeakKeyDictionary[Bus, Micro]] = weakref.WeakKeyDictionary()


class Service(BaseModel):
    """What micro is told about one instance.

    Attributes:
        name: The target's id.
        id: The instance's id.
        version: Semver; anything else is shown as 0.0.0.
        description: For people.
        metadata: Lattice, host, kind, and whatever else may be asked for.
        subject: What it serves.
        queue_group: The queue group of that; empty for none.
    """

    name: str
    id: str
    version: str = _LATH_VERSION
    description: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    subject: str = ""
    queue_group: str = ""

    def identity(self, verb: MicroVerb) -> dict[str, Any]:
        return {
            "type": MICRO_RESPONSES[verb],
            "name": self.name,
            "id": self.id,
            "version": self.version if _SEMVER.match(self.version) else _VERSION_OTHER,
            "metadata": self.metadata,
        }

    def _endpoint(self) -> dict[str, Any]:
        return {"name": "calls", "subject": self.subject, "queue_group": self.queue_group}

    def answer(self, verb: MicroVerb, stats: CallStats) -> dict[str, Any]:
        """The response to a verb, in micro's own JSON."""
        reply = self.identity(verb)
        if verb == "INFO":
            endpoint = self._endpoint() | {"metadata": {}}
            reply |= {"description": self.description, "endpoints": [endpoint] if self.subject else []}
        elif verb == "STATS":
            started = datetime.datetime.fromtimestamp(stats.started_ns / 1e9, datetime.UTC)
            endpoint = self._endpoint() | {
                "num_requests": stats.requests,
                "num_errors": stats.errors,
                "last_error": stats.last_error,
                "processing_time": stats.processing_ns,
                "average_processing_time": stats.processing_ns // max(1, stats.requests),
            }
            reply |= {"started": started.isoformat(), "endpoints": [endpoint] if self.subject else []}
        return reply


class Micro:
    """Answers micro's requests for all services of one connection. Shared: get it by `of`."""

    def __init__(self, bus: Bus) -> None:
        # The registry is keyed weakly by the bus, so this must not keep it alive.
        self._bus = weakref.ref(bus)
        self._services: dict[tuple[str, str], tuple[Service, CallStats]] = {}
        self._subscribed = False
        self._lock = asyncio.Lock()

    @staticmethod
    def of(bus: Bus) -> Micro:
        """The one of `bus`."""
        micro = _responders.get(bus)
        if micro is None:
            micro = _responders[bus] = Micro(bus)
        return micro

    @property
    def services(self) -> Mapping[tuple[str, str], tuple[Service, CallStats]]:
        return self._services

    async def add(self, service: Service, stats: CallStats | None = None) -> Callable[[], None]:
        """Shows a service. Returns what removes it.

        Args:
            service: Who it is.
            stats: Its counters, read whenever somebody asks.

        Raises:
            NotConnected: The connection was closed.
        """
        key = (service.name, service.id)
        self._services[key] = (service, stats or CallStats())
        async with self._lock:
            bus = self._bus()
            if not self._subscribed and bus is not None:
                await bus.subscribe(MICRO_PATTERN, self._asked)  # the bus owns it, and ends it
                self._subscribed = True

        def remove() -> None:
            self._services.pop(key, None)

        return remove

    async def _asked(self, msg: Msg) -> None:
        bus = self._bus()
        if bus is None or not may_answer(msg.reply):
            return
        try:
            verb, name, service_id = parse_micro(msg.subject)
        except InvalidArgument:
            return
        for service, stats in list(self._services.values()):
            if name in ("", service.name) and service_id in ("", service.id):
                try:
                    await bus.publish(msg.reply, _json(service.answer(verb, stats)))
                except LathError as e:
                    _log.debug("could not answer micro", error=e.message)
                    return


def _json(reply: dict[str, Any]) -> bytes:
    return json.dumps(reply, separators=(",", ":")).encode()
