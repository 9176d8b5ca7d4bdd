"""The way of HTTP requests into a component: from the bus, and from this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import Final, Protocol

from lath.errors import CallCancelled, DeadlineExceeded
from lath.http import Header, HttpRequest, HttpResponse, ResponseBody
from lath.http.serving import request_of, result_of
from lath.rpc import IncomingCall, Streamed
from lath.subjects import HEADER_TRACEPARENT, HEADER_TRACESTATE
from lath.telemetry import current_span, inject, measuring, sampled
from lath_host.components.imports import ENDLESS, GuestCall
from lath_host.components.local import LocalCall, LocalTarget, observed
from lath_host.engine.linkage import CallContext
from lath_host.engine.usage import tell_bytes

_TRACE: Final = (HEADER_TRACEPARENT, HEADER_TRACESTATE)


class HttpServing(Protocol):
    """What answers requests with the guests of a component."""

    async def serve(
        self, request: HttpRequest, *, context: CallContext, timeout_ms: int | None = None
    ) -> HttpResponse:
        """Has a request answered. The body of the response must be iterated to its end, or closed.

        Args:
            request: What is asked.
            context: Given to every import that is made meanwhile.
            timeout_ms: How long the guest may keep others waiting; None: the limit of the component's calls.

        Raises:
            LathError: There is no response.
        """


class HttpWay:
    """Hands requests to a component, and minds their deadlines.

    Args:
        component_id: For messages.
        serving: What answers, by the name of the export.
        timeout_ms: How long its guests may keep others waiting; None: as long as the request's own time-out.
    """

    def __init__(
        self,
        component_id: str,
        serving: Callable[[str], HttpServing],
        timeout_ms: Callable[[], int | None],
    ) -> None:
        self._id = component_id
        self._serving = serving
        self._timeout_ms = timeout_ms
        self._loop = asyncio.get_running_loop()

    async def remote(self, interface: str, call: IncomingCall) -> bytes | Streamed:
        """Serves a request that came over the bus.

        Args:
            interface: The export that serves, by its name in the component.
            call: The call that brings it; a link has let it in.

        Raises:
            InvalidArgument: It brings no request.
            LathError: There is no response.
        """
        request = request_of(call)
        return await result_of(await self.answer(interface, request, call.deadline, call.header.app_version))

    async def answer(
        self, interface: str, request: HttpRequest, deadline: float, app_version: str
    ) -> HttpResponse:
        """Has a request answered. The body of the response must be iterated to its end, or closed.

        Args:
            interface: As above.
            request: What is asked.
            deadline: Until when the response must have begun; loop time, seconds.
            app_version: Of the app that the request belongs to.

        Raises:
            LathError: There is no response.
        """
        left_ms = int((deadline - self._loop.time()) * 1000)
        if left_ms <= 0:
            raise DeadlineExceeded(f"the time-out passed before the request to {self._id} was run")
        sizes = None
        if sampled():
            sizes = _Sizes(request)
            request.headers = _within_span(request.headers)
        handler = self._serving(interface)
        # Its imports have time-outs of their own: it may go on for long after the deadline of the head.
        context = GuestCall(ENDLESS, app_version)
        limit_ms = self._timeout_ms() or left_ms
        if limit_ms <= left_ms:
            response = await handler.serve(request, context=context, timeout_ms=limit_ms)
        else:
            try:
                async with asyncio.timeout_at(deadline):
                    response = await handler.serve(request, context=context, timeout_ms=limit_ms)
            except TimeoutError:
                raise DeadlineExceeded(f"{self._id} did not answer within {left_ms} ms") from None
        if sizes is not None:
            sizes.follow(response)
        return response


def http_locally(
    target: LocalTarget, target_id: str, call: LocalCall, request: HttpRequest
) -> Awaitable[HttpResponse]:
    """Makes a request to a target in this process; the spans and metrics of both sides.

    Raises:
        LathError: As the target raised it.
    """
    if sampled() or measuring():
        return _observed(target, target_id, call, request)
    return target.http_local(call, request)


async def _observed(
    target: LocalTarget, target_id: str, call: LocalCall, request: HttpRequest
) -> HttpResponse:
    begun: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
    # In a task of its own, since the spans end with the body, which whoever asked reads in tasks of theirs.
    task = asyncio.create_task(_observe(target, target_id, call, request, begun), name="lath-http-observed")
    try:
        await asyncio.wait((task, begun), return_when=asyncio.FIRST_COMPLETED)
    except BaseException:
        task.cancel()
        await asyncio.wait([task])
        if begun.done():
            await begun.result().body.aclose()
        raise
    if not begun.done():
        task.result()
    return begun.result()


async def _observe(
    target: LocalTarget,
    target_id: str,
    call: LocalCall,
    request: HttpRequest,
    begun: asyncio.Future[HttpResponse],
) -> None:
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def end(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(error)

    try:
        with ExitStack() as sides:
            sides.enter_context(observed("client", target_id, target.instance_id, call))
            sides.enter_context(observed("server", target_id, target.instance_id, call))
            response = await target.http_local(call, request)
            if response.whole is not None:
                begun.set_result(response)
                return
            response.body = Ending(response.body, len, end)
            begun.set_result(response)
            error = await ended
            if error is not None:
                raise error  # for the spans and the metrics
    except Exception:
        if not begun.done():  # from then on who reads the body is told
            raise


def _within_span(headers: list[Header]) -> list[Header]:
    """With the span that the guest runs in: what came names the one before it."""
    trace: dict[str, str] = {}
    inject(trace)
    kept = [header for header in headers if header[0].lower() not in _TRACE]
    return kept + [(name, value.encode()) for name, value in trace.items()]


class _Sizes:
    """Counts the bytes of an exchange, for its span."""

    def __init__(self, request: HttpRequest) -> None:
        self._received = self._sent = 0
        self._span = current_span()  # where the response ends another may be the current one
        if isinstance(request.body, bytes):
            self._received = len(request.body)
        elif request.body is not None:
            request.body = self._counted(request.body)

    async def _counted(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in body:
            self._received += len(chunk)
            yield chunk

    def follow(self, response: HttpResponse) -> None:
        """Tells the sizes at the end of the response."""
        if response.whole is not None:
            tell_bytes(self._received, len(response.whole), self._span)
        else:
            response.body = Ending(response.body, self._count, self._tell)

    def _count(self, chunk: bytes) -> None:
        self._sent += len(chunk)

    def _tell(self, error: BaseException | None) -> None:
        tell_bytes(self._received, self._sent, self._span)


class Ending:
    """The body of a response of which something follows, and its end.

    Args:
        body: The body.
        seen: Is given every chunk.
        ended: Called once, when it has ended, failed (with the error) or been closed.
    """

    def __init__(
        self,
        body: ResponseBody,
        seen: Callable[[bytes], object],
        ended: Callable[[BaseException | None], object],
    ) -> None:
        self._body = body
        self._seen = seen
        self._ended: Callable[[BaseException | None], object] | None = ended

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._body)
        except StopAsyncIteration:
            self._end(None)
            raise
        except Exception as error:
            self._end(error)
            raise
        self._seen(chunk)
        return chunk

    async def aclose(self) -> None:
        """Wants no more of it."""
        try:
            await self._body.aclose()
        finally:
            self._end(CallCancelled("its caller wanted no more of the response"))

    def _end(self, error: BaseException | None) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(error)
