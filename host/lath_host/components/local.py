"""Calls that never leave the process: components and built-in providers of this host.

The same rules hold as over the bus: the callee checks the link and the deadline, payloads have one limit,
what certainly did not run is tried elsewhere, and the same spans and metrics are made. Wire values are handed
over as they are, without msgpack in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from lath import telemetry
from lath.errors import CallCancelled, LathError
from lath.http import HttpRequest, HttpResponse
from lath.model import Revision
from lath.names import InterfaceName


@dataclass(slots=True)
class LocalCall:
    """One call to a target in this process. Nobody changes it; freezing it would take as long as making it.

    Attributes:
        source: Who calls.
        link_name: The link that it calls through.
        interface: What it calls, with the version that it was built against.
        function: The function's WIT name.
        params: Wire values.
        deadline: When it must be done, in the loop's time (seconds).
        revision: Of the link that it was routed by.
        app_version: Of the app that the request belongs to.
        lattice: For spans.
        hops: How many calls in a row have not left this process.
        near: The token of a handle that its caller holds: what the call makes is to live beside that.
    """

    source: str
    link_name: str
    interface: InterfaceName
    function: str
    params: list[Any]
    deadline: float
    revision: Revision | None = None
    app_version: str = ""
    lattice: str = ""
    hops: int = 0
    near: bytes = b""


HOPS_PER_TASK: Final = 16
"""Calls that await each other in one task. Each takes about ten of Python's 1000 frames, and components
whose links form a circle may call without end."""


class LocalTarget(Protocol):
    """Something in this process that calls can be handed to.

    Attributes:
        instance_id: The instance of the target that it is.
    """

    instance_id: str

    def has_room(self) -> bool:
        """Whether a call may be handed over now: not while draining, failed or full."""

    def call_local(self, call: LocalCall) -> Coroutine[Any, Any, Any]:
        """Runs a call by its deadline; takes and returns wire values; raises `LathError`."""

    async def http_local(self, call: LocalCall, request: HttpRequest) -> HttpResponse:
        """Answers a request, by the deadline of a call of `wasi:http/incoming-handler`; raises `LathError`.

        The call holds all but the request. Its spans and metrics are the caller's to make.
        """


class LocalHome(LocalTarget, Protocol):
    """An instance in this process that resources live in."""

    def renew(self, tokens: Sequence[bytes]) -> None:
        """Somebody still holds the handles of these tokens."""

    def release(self, tokens: Sequence[bytes]) -> None:
        """Nobody holds them any more."""


class LocalTargets:
    """What this process serves, by target id; and the instances that resources live in, by instance id.

    An instance that stops is no target any more, and is a home until all of it has ended.
    """

    def __init__(self) -> None:
        self.homes: dict[str, LocalHome] = {}
        self._targets: dict[str, LocalTarget] = {}

    def add(self, target_id: str, target: LocalTarget) -> None:
        """Offers a target; it replaces one of the same id (an update)."""
        self._targets[target_id] = target

    def remove(self, target_id: str, target: LocalTarget) -> None:
        """Withdraws exactly this target: one that has replaced it stays."""
        if self._targets.get(target_id) is target:
            del self._targets[target_id]

    def find(self, target_id: str) -> LocalTarget | None:
        """The target that can take a call now, or None: then the bus is the way."""
        target = self._targets.get(target_id)
        return target if target is not None and target.has_room() else None

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)


async def call_locally(target: LocalTarget, target_id: str, call: LocalCall) -> Any:
    """Makes a call to a target in this process, which minds the deadline; the span and metric of its caller.

    Raises:
        LathError: As the callee raised it.
    """
    with observed("client", target_id, target.instance_id, call):
        if call.hops % HOPS_PER_TASK:
            return await target.call_local(call)
        return await asyncio.create_task(target.call_local(call))


@contextmanager
def observed(
    side: Literal["client", "server"], target_id: str, instance_id: str, call: LocalCall
) -> Iterator[None]:
    """Makes the span and the metric of one side of a call; next to nothing where nobody records."""
    if not telemetry.sampled() and not telemetry.measuring():
        yield
        return
    interface = call.interface.unversioned
    began = time.perf_counter()
    kind = "ok"
    attributes: dict[str, str | bool | int | float] = {
        "rpc.system": "lath",
        "rpc.service": interface,
        "rpc.method": call.function,
        "lath.lattice": call.lattice,
        "lath.source": call.source,
        "lath.target": target_id,
        "lath.instance": instance_id,
        "lath.link": call.link_name,
        "lath.local": True,
    }
    try:
        with telemetry.span(f"{interface}.{call.function}", side, attributes):
            yield
    except LathError as e:
        kind = e.kind
        raise
    except asyncio.CancelledError:
        kind = CallCancelled.kind
        raise
    except Exception:
        kind = "internal"
        raise
    finally:
        spent_ms = (time.perf_counter() - began) * 1000
        telemetry.record_call(
            side, target_id, interface, call.function, kind, spent_ms, call.source, call.link_name
        )
