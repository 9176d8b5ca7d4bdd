"""The way of calls to which, or from which, a stream of bytes goes on: what `wasi:blobstore` needs.

A guest's value leaves as a byte stream, and comes as one (`lath.streamed`); what stands between those and the
guest's handles is `lath_host.engine.blobs`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from lath import wit
from lath.bus import Bus
from lath.codec import ComponentHandle
from lath.errors import DeadlineExceeded, DidNotRun, NotFound, Overloaded
from lath.model import Link
from lath.names import InterfaceName
from lath.rpc import Caller, FailedAttempt, may_retry
from lath.streamed import (
    ByteStream,
    Pace,
    StreamedCalls,
    StreamedFunction,
    Streaming,
    call_here,
    streaming_of,
)
from lath_host.components.local import LocalCall, LocalTargets, call_locally
from lath_host.engine.usage import Usage

_PACKAGE = ("wasi", "blobstore")


def streamed_function(interface: InterfaceName, function: str) -> StreamedFunction | None:
    """How a function is called of which something travels as a stream; None where nothing does.

    Args:
        interface: With the version that the component was built against.
        function: Its WIT name.
    """
    if (interface.namespace, interface.package) != _PACKAGE:
        return None
    with suppress(NotFound):
        func = wit.load(str(interface)).functions.get(function)
        streaming = streaming_of(func) if func is not None else None
        if streaming is not None:
            return StreamedFunction.of(streaming)
    return None


@dataclass(frozen=True, slots=True)
class StreamedCall:
    """One such call.

    Attributes:
        link: The link that it goes by.
        function: How it is called.
        tail: Of the call's subject.
        call: Its rest; wire values among the parameters, and a `ByteStream` in its place.
        at: The resource that it goes to, where that lives in one instance; None: it goes to any.
    """

    link: Link
    function: StreamedFunction
    tail: str
    call: LocalCall
    at: ComponentHandle | None


class StreamedWay:
    """Makes such calls: within this process where that can be, else over the bus.

    Args:
        bus: The connection.
        caller: Makes the calls over it.
        targets: What runs in this process.
        usage: Counts the bytes that go over the bus.
    """

    def __init__(self, bus: Bus, caller: Caller, targets: LocalTargets, usage: Usage) -> None:
        self._calls = StreamedCalls(bus, caller)
        self._targets = targets
        self._usage = usage

    async def call(self, made: StreamedCall) -> Any:
        """Makes a call. The time to its deadline bounds each wait for the other side, from now on.

        Returns:
            The result's wire value, with a `ByteStream` in its place: to be read to its end, or closed.

        Raises:
            LathError: What it came to.
        """
        target, streaming, params = made.link.target, made.function.streaming, made.call.params
        left_s = made.call.deadline - asyncio.get_running_loop().time()
        try:
            if left_s <= 0:
                function = f"{made.call.interface}.{made.call.function}"
                raise DeadlineExceeded(f"the time-out passed before {function} of {target} was called")
            async with Pace(target, left_s) as pace:
                return await self._either(made, pace, left_s)
        finally:
            if streaming.param is not None:
                await params[streaming.param].aclose()

    async def _either(self, made: StreamedCall, pace: Pace, left_s: float) -> Any:
        target_id, streaming = made.link.target, made.function.streaming
        at, earlier = made.at, None
        target = self._targets.homes.get(at.instance) if at else self._targets.find(target_id)
        if target is not None:
            here = target

            async def serve(params: list[Any]) -> Any:
                return await call_locally(here, target_id, replace(made.call, params=params))

            try:
                return await call_here(streaming, made.call.params, pace, target_id, left_s, serve)
            except DidNotRun as error:
                if at is not None or not may_retry(error, 1, isinstance(error, Overloaded)):
                    raise
                earlier = FailedAttempt(target.instance_id, error)
        return await self._over_bus(made, pace, left_s, earlier)

    async def _over_bus(
        self, made: StreamedCall, pace: Pace, left_s: float, earlier: FailedAttempt | None
    ) -> Any:
        call, streaming = made.call, made.function.streaming
        params = _counted_params(streaming, call.params, self._sent)
        result = await self._calls.call(
            made.link.target,
            made.tail,
            made.function,
            params,
            pace,
            timeout_ms=left_s * 1000,
            linked=True,
            revision=made.link.revision,
            interface_version=call.interface.version,
            app_version=call.app_version,
            earlier=earlier,
            at=made.at,
        )
        stream = streaming.stream_of(result)
        return streaming.with_stream(_counted(stream, self._came)) if stream is not None else result

    def _sent(self, size: int) -> None:
        self._usage.bytes_out += size

    def _came(self, size: int) -> None:
        self._usage.bytes_in += size


class _Counted:
    """A stream whose bytes are counted as they pass."""

    def __init__(self, stream: ByteStream, count: Callable[[int], None]) -> None:
        self._stream = stream
        self._count = count

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._stream)
        self._count(len(chunk))
        return chunk

    async def aclose(self) -> None:
        """Wants no more of it."""
        await self._stream.aclose()


def _counted(stream: ByteStream, count: Callable[[int], None]) -> ByteStream:
    if stream.whole is not None:
        count(len(stream.whole))
        return stream
    return ByteStream(_Counted(stream, count), stream.size)


def _counted_params(streaming: Streaming, params: list[Any], count: Callable[[int], None]) -> list[Any]:
    place = streaming.param
    if place is None:
        return params
    return [*params[:place], _counted(params[place], count), *params[place + 1 :]]
