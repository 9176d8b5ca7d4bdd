"""Calls that a provider itself makes, by the links of which it is the source."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from lath import subjects, wit
from lath.bus import Bus
from lath.codec import (
    Err,
    FuncCodec,
    Ok,
    Wire,
    component_handles_in_params,
    component_handles_in_result,
    size_check,
)
from lath.codec.handles import FindHandles, home_of
from lath.errors import DeadlineExceeded, DidNotRun, NotFound, Overloaded
from lath.http import HttpRequest, HttpResponse
from lath.http.calling import FUNCTION, INTERFACE, HttpCaller
from lath.names import InterfaceName
from lath.provider.errors import OpError
from lath.provider.link import Link
from lath.rpc import Caller, FailedAttempt, may_retry
from lath.streamed import Pace, StreamedCalls, StreamedFunction, call_here, converse, streaming_of

TIMEOUT_MS: int = 10_000
"""A missing time-out means this, as everywhere."""

T = TypeVar("T")


class Neighbour(Protocol):
    """A target in the provider's own process, which can take a call now.

    Attributes:
        instance_id: The instance of the target that it is.
    """

    instance_id: str

    async def call(
        self, link: Link, interface: InterfaceName, function: str, params: list[Wire], deadline: float
    ) -> Wire:
        """Calls a function of it; wire values in and out."""

    def http(self, link: Link, request: HttpRequest, deadline: float) -> Awaitable[HttpResponse]:
        """Has it answer a request, which must have begun by the deadline (loop time)."""


class Nearby(Protocol):
    """What a host lends to a provider built into it.

    Attributes:
        caller: Calls over the bus; it knows the instances of every target.
    """

    caller: Caller

    def find(self, target_id: str) -> Neighbour | None:
        """The target, where it is in this process."""


@dataclass(frozen=True, slots=True)
class _Function:
    """A function that is called, with what is the same for every call.

    Attributes:
        interface: With the version that `lath.wit` knows.
        codec: Of its values.
        check: Refuses parameters that are too large to be sent; None where none can be.
        handles: Finds the handles of components' resources in the parameters; None where none can be.
        has_handles: Whether there may be such handles in parameters or result.
        streamed: How it is called where something of it travels as a stream; None: nothing does.
    """

    interface: InterfaceName
    codec: FuncCodec
    check: Callable[[Any], None] | None
    handles: FindHandles | None
    has_handles: bool
    streamed: StreamedFunction | None


class OutgoingCalls:
    """Calls the other ends of a provider's links.

    A provider in a process of its own knows no instances of them (it may not read the presence of others),
    so calls go to the target's queue group; those with handles of a component's resources go to the instance
    that these name. One that is built into a host calls by what that knows.
    """

    def __init__(self, bus: Bus, provider_id: str, nearby: Nearby | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._nearby = nearby
        self._caller = Caller(bus, None, provider_id) if nearby is None else nearby.caller
        self._http = HttpCaller(bus, self._caller)
        self._streamed = StreamedCalls(bus, self._caller)
        self._functions: dict[tuple[str, str], _Function] = {}

    async def call(
        self,
        link: Link,
        interface: str,
        function: str,
        *args: Any,
        timeout_ms: int = TIMEOUT_MS,
        version: str | None = None,
    ) -> Any:
        """Calls `function` of `interface` at the target of `link`.

        Args:
            link: A link of which this provider is the source.
            interface: `namespace:package/interface`, known to `lath.wit`.
            function: Its name in the WIT.
            args: Its arguments, in the friendly form of `lath.codec`; for one that travels as a stream its
                bytes, a `ByteStream`, or an async iterator of bytes, which is closed whatever comes of it.
            timeout_ms: How long the call may take; where something of it travels as a stream, how long its
                callee may keep the caller waiting, each time.
            version: Of the interface, to ask for another than the one that `lath.wit` knows.

        Returns:
            Its result; where that is a `result<…>`, what `ok` carries. For one that travels as a stream a
            `ByteStream`, or a `StringStream`: to be read to its end, or closed.

        Raises:
            OpError: The call answered `err`.
            NotFound: There is no such interface or function.
            LathError: The call failed; see `lath.errors`.
        """
        called = self._function(interface, function)
        name = called.interface if version is None else replace(called.interface, version=version)
        if called.streamed is not None:
            return await self._call_streamed(link, called, called.streamed, name, function, args, timeout_ms)
        params = called.codec.params_to_wire(args)
        deadline = asyncio.get_running_loop().time() + timeout_ms / 1000

        async def here(neighbour: Neighbour) -> Any:
            if called.check is not None:
                called.check(params)
            answer = await neighbour.call(link, name, function, params, deadline)
            return called.codec.result_from_wire(answer)

        async def over_bus(left_ms: float, earlier: FailedAttempt | None) -> Any:
            answer = await self._caller.call(
                link.target,
                subjects.call_tail(link.source_id, link.name, name, function),
                called.codec.pack_params(params),
                timeout_ms=left_ms,
                linked=True,
                revision=link.revision,
                interface_version=name.version,
                earlier=earlier,
                at=home_of(called.handles(params), link.target) if called.handles is not None else None,
            )
            return called.codec.decode_result(answer)

        if called.has_handles:  # they live in instances, which may be others than the one here
            result = await over_bus(timeout_ms, None)
        else:
            result = await self._either(link, deadline, here, over_bus)
        return _value(result)

    async def _call_streamed(
        self,
        link: Link,
        called: _Function,
        streamed: StreamedFunction,
        name: InterfaceName,
        function: str,
        args: Sequence[Any],
        timeout_ms: float,
    ) -> Any:
        timeout_s = timeout_ms / 1000
        deadline = asyncio.get_running_loop().time() + timeout_s
        pace = Pace(link.target, timeout_s)

        async def send(params: list[Any]) -> Any:
            async def here(neighbour: Neighbour) -> Any:
                return await call_here(
                    streamed.streaming, params, pace, link.target, timeout_s,
                    lambda given: neighbour.call(link, name, function, given, deadline),
                )  # fmt: skip

            async def over_bus(left_ms: float, earlier: FailedAttempt | None) -> Any:
                return await self._streamed.call(
                    link.target,
                    subjects.call_tail(link.source_id, link.name, name, function),
                    streamed,
                    params,
                    pace,
                    timeout_ms=left_ms,
                    linked=True,
                    revision=link.revision,
                    interface_version=name.version,
                    earlier=earlier,
                )

            return await self._either(link, deadline, here, over_bus)

        return _value(await converse(called.codec, streamed.streaming, args, pace, send))

    async def http(self, link: Link, request: HttpRequest, *, timeout_ms: float = TIMEOUT_MS) -> HttpResponse:
        """Has the component at the target of `link` answer a request (`wasi:http/incoming-handler`).

        The body of the response must be iterated to its end, or closed: closing it ends the guest. What its
        iteration raises (`LathError`) says that the response is not whole. A body of the request is read as
        the guest reads it, and no more once the response has ended.

        Args:
            link: A link of which this provider is the source.
            request: What is asked.
            timeout_ms: How long the response may take to begin. How long the guest may keep it waiting after
                that is the component's own limit, or this where it has none.

        Returns:
            The response, as soon as the guest has set its head.

        Raises:
            LathError: There is no response; see `lath.errors`.
        """
        deadline = self._loop.time() + timeout_ms / 1000
        earlier = None
        neighbour = self._nearby.find(link.target) if self._nearby is not None else None
        if neighbour is not None:
            try:
                return await neighbour.http(link, request, deadline)
            except DidNotRun as error:
                earlier = _failed_attempt(neighbour, error)
        return await self._http.call(
            link.target,
            subjects.call_tail(link.source_id, link.name, INTERFACE, FUNCTION),
            request,
            timeout_ms=_left_ms(link, deadline, earlier),
            linked=True,
            revision=link.revision,
            earlier=earlier,
        )

    async def _either(
        self,
        link: Link,
        deadline: float,
        here: Callable[[Neighbour], Awaitable[T]],
        over_bus: Callable[[float, FailedAttempt | None], Awaitable[T]],
    ) -> T:
        """Goes the way within this process, if there is one; else, or if nothing ran there, over the bus."""
        earlier = None
        neighbour = self._nearby.find(link.target) if self._nearby is not None else None
        if neighbour is not None:
            try:
                return await here(neighbour)
            except DidNotRun as error:
                earlier = _failed_attempt(neighbour, error)
        return await over_bus(_left_ms(link, deadline, earlier), earlier)

    async def close(self) -> None:
        """Ends the calls that run."""
        if self._nearby is None:
            await self._caller.close()

    def _function(self, interface: str, function: str) -> _Function:
        known = self._functions.get((interface, function))
        if known is None:
            described = wit.load(interface)
            func = described.functions.get(function)
            if func is None:
                raise NotFound(f"{described.name} has no function {function!r}")
            streaming = streaming_of(func)
            if streaming is not None:
                func = streaming.func
            handles = component_handles_in_params(func)
            known = self._functions[interface, function] = _Function(
                InterfaceName.parse(described.name),
                FuncCodec(func),
                size_check([param.type for param in func.params]),
                handles,
                handles is not None or component_handles_in_result(func) is not None,
                None if streaming is None else StreamedFunction.of(streaming),
            )
        return known


def _failed_attempt(neighbour: Neighbour, error: DidNotRun) -> FailedAttempt:
    """What goes before the way over the bus; raises the error where that is not tried."""
    if not may_retry(error, 1, isinstance(error, Overloaded)):
        raise error
    return FailedAttempt(neighbour.instance_id, error)


def _left_ms(link: Link, deadline: float, earlier: FailedAttempt | None) -> float:
    left_ms = (deadline - asyncio.get_running_loop().time()) * 1000
    if left_ms > 0:
        return left_ms
    if earlier is not None:
        raise earlier.error
    raise DeadlineExceeded(f"the time-out passed before {link.target} was called")


def _value(result: Any) -> Any:
    if isinstance(result, Err):
        raise OpError(result.error)
    return result.value if isinstance(result, Ok) else result
