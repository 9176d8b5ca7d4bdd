"""Calls from a client to a component or provider: types are asked for, so that plain values will do."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lath import subjects, telemetry, wit
from lath.codec import FuncCodec, component_handles_in_params, component_handles_in_result, unpack
from lath.codec.handles import FindHandles, home_of
from lath.codec.jsonform import params_from_json, result_to_json
from lath.errors import InvalidArgument, NotFound
from lath.names import CLIENT_SOURCE, NO_LINK, InterfaceName, check_target, shown, versions_compatible
from lath.streamed import streaming_of
from lath.telemetry import TraceContext
from lath.wit.types import Func, Interface
from lath_control.client.holding import HeldResources
from lath_control.client.models import CallResult

if TYPE_CHECKING:
    from lath_control.client import Client

CALL_MS: Final = 10_000
"""The default time-out of a call, as everywhere in lath."""
FUNCTIONS_KEPT_MAX: Final = 1_000
"""Functions whose types are kept between calls: more than any program calls by name."""


@dataclass(frozen=True, slots=True)
class CalledFunction:
    """A function that was found on a target: what the call needs of it."""

    interface: InterfaceName
    function: str
    func: Func
    codec: FuncCodec
    handles: FindHandles | None
    makes_handles: bool


class Calls:
    """`client.call` and `client.call_json` use this; `find` tells the types.

    Types are asked for once, and again when the target's instances are others: an update makes new ones.
    """

    def __init__(self, client: Client, held: HeldResources) -> None:
        self._client = client
        self._held = held
        self._kept: dict[tuple[str, str, str], tuple[frozenset[str], CalledFunction]] = {}

    async def find(self, target: str, interface: InterfaceName, function: str) -> CalledFunction:
        """The types of a function that `target` exports.

        Raises:
            NotFound: The target, interface, version or function does not exist; the message says which, and
                what there is.
        """
        check_target(target, "target")
        key = (target, str(interface), function)
        instances = frozenset(each.instance_id for each in self._client.presence.instances(target))
        kept = self._kept.get(key)
        if kept is not None and kept[0] == instances:
            return kept[1]
        called = await self._ask(target, interface, function)
        if len(self._kept) < FUNCTIONS_KEPT_MAX or key in self._kept:
            self._kept[key] = (instances, called)
        return called

    async def _ask(self, target: str, interface: InterfaceName, function: str) -> CalledFunction:
        found = await self._interface(target, interface)
        func = found.functions.get(function)
        if func is None:
            known = ", ".join(sorted(found.functions))
            raise NotFound(f"{found.name} of {target} has no function {shown(function)}; it has: {known}")
        if streaming_of(func) is not None:
            raise InvalidArgument(
                f"{found.name}.{shown(function)} takes or gives a stream of bytes, which a client cannot: "
                "call it from a component or a provider, by a link"
            )
        return CalledFunction(
            InterfaceName.parse(found.name),
            function,
            func,
            FuncCodec(func),
            component_handles_in_params(func),
            component_handles_in_result(func) is not None,
        )

    async def _interface(self, target: str, asked: InterfaceName) -> Interface:
        provider = next((p for p in self._client.presence.instances(target) if p.kind == "provider"), None)
        if provider is not None:
            return _choose(target, asked, {name: wit.load(name) for name in provider.interfaces})
        world = await self._client.components.describe(target)
        return _choose(target, asked, world.exports)

    async def call(
        self,
        target: str,
        interface: InterfaceName,
        function: str,
        args: Sequence[Any],
        *,
        timeout_ms: int,
    ) -> Any:
        found = await self.find(target, interface, function)
        params = found.codec.params_to_wire(args)
        if found.handles is not None:
            self._held.keep(args)
        answer = await self._send(target, found, params, timeout_ms)
        if found.handles is not None:
            self._held.given_away(found.handles(params))
        result = found.codec.decode_result(answer)
        if found.makes_handles:
            self._held.keep(result)
        return result

    async def call_json(
        self,
        target: str,
        interface: InterfaceName,
        function: str,
        args: Sequence[Any],
        *,
        timeout_ms: int,
    ) -> CallResult:
        found = await self.find(target, interface, function)
        params = params_from_json(found.func, list(args))
        started = time.perf_counter()
        with _traced(target) as trace:
            answer = await self._send(target, found, params, timeout_ms)
        return CallResult(
            value=result_to_json(found.func, unpack(answer)),
            trace_id=trace.trace_id,
            elapsed_ms=round((time.perf_counter() - started) * 1000, 2),
        )

    async def _send(self, target: str, found: CalledFunction, params: list[Any], timeout_ms: int) -> bytes:
        """Calls with wire values; one with handles goes to the instance that their resources live in."""
        at = home_of(found.handles(params), target) if found.handles is not None else None
        tail = subjects.call_tail(CLIENT_SOURCE, NO_LINK, found.interface, found.function)
        return await self._client.caller.call(
            target,
            tail,
            found.codec.pack_params(params),
            timeout_ms=timeout_ms,
            linked=False,
            interface_version=found.interface.version,
            at=at,
        )


@contextmanager
def _traced(target: str) -> Iterator[TraceContext]:
    """Makes a call part of a trace, so that it can be found again by its id, whoever records it.

    That is the current one, or a new one: begun by a span where this process records any, and then sampled as
    its environment says; else sampled.
    """
    outer = telemetry.current()
    if outer is None and not telemetry.recording():
        outer = TraceContext(f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01")
    with telemetry.use(outer), telemetry.span("lath call", attributes={"lath.target": target}):
        trace = telemetry.current()
        assert trace is not None, "the outer one, or that of the span"
        yield trace


def _choose(target: str, asked: InterfaceName, offered: Any) -> Interface:
    versions = []
    for name, interface in offered.items():
        full = interface.name or name
        if not full or ":" not in full:
            continue
        parsed = InterfaceName.parse(full)
        if parsed.unversioned != asked.unversioned:
            continue
        if versions_compatible(asked.version, parsed.version):
            return interface  # type: ignore[no-any-return]
        versions.append(str(parsed))
    if versions:
        raise NotFound(f"{target} exports {', '.join(versions)}, which does not serve {asked}")
    known = ", ".join(sorted(name for name in offered if ":" in name)) or "none"
    raise NotFound(f"{target} exports no interface {asked}; it exports: {known}")
