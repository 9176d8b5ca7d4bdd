"""Requests handed to the component of a pool, and its responses.

A request is one call of `wasi:http/incoming-handler`: it gets an instance, counts against the limits, and is
accounted as any call is. The response is there as soon as the guest has set it; the guest goes on, writing
the body as it is read, and its instance is in use until it has returned. A guest that returns in its first
poll, as those with small bodies do, has then run in its caller's task, and the response comes with its body.

`timeout_ms` bounds what the guest makes others wait for, each by itself: the response's head, every piece of
its body, and the guest's return after that. A caller that is slow to read costs the guest nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from lath.errors import CallCancelled, DeadlineExceeded, LathError, Trap
from lath.http import HttpRequest, HttpResponse, WholeBody
from lath_host.engine.begun import BegunCall
from lath_host.engine.bounds import deadline
from lath_host.engine.http.bodies import Pipe, Source
from lath_host.engine.http.messages import HttpFailure, NoResponse
from lath_host.engine.http.requests import IncomingRequest
from lath_host.engine.http.responses import OutgoingResponse, ResponseOutparam
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool

INCOMING_HANDLER: Final = "wasi:http/incoming-handler"
_HANDLE: Final = "handle"


def incoming_handler(exports: Iterable[str]) -> str | None:
    """Which of the exports of a component serves HTTP; None: none does."""
    for name in exports:
        if name.partition("@")[0] == INCOMING_HANDLER:
            return name
    return None


class HttpHandler:
    """Serves HTTP with the component of a pool.

    Args:
        pool: Runs it.
        interface: Which of its exports serves; see `incoming_handler`.
    """

    def __init__(self, pool: InstancePool, interface: str) -> None:
        self._pool = pool
        self._interface = interface

    async def serve(
        self, request: HttpRequest, *, context: CallContext, timeout_ms: int | None = None
    ) -> HttpResponse:
        """Has a request answered. The body of the response must be iterated to its end, or closed.

        Args:
            request: What is asked.
            context: Given to every import that is made meanwhile.
            timeout_ms: How long the guest may keep others waiting; None: the limit of the pool's calls.

        Raises:
            NoResponse: The guest has answered with an error code.
            Trap: The guest trapped, or returned without an answer.
            DeadlineExceeded: The time is up, for the head.
            LathError: As for any call (`InstancePool.call`).
        """
        limit_ms = timeout_ms or self._pool.limits.timeout_ms
        source, outparam = Source(request.body), ResponseOutparam()
        source.trailing = request.trailers
        params = [IncomingRequest(request, source), outparam]
        try:
            call = await self._pool.begin(
                self._interface, _HANDLE, params, context=context, timeout_ms=limit_ms
            )
        except BaseException:
            source.close()
            raise
        if not call.finished:
            exchange = _Exchange(self._pool, call, source, outparam, limit_ms)
            exchange.go_on()
        else:
            error = _end(call)
            response = self._whole(source, outparam)
            if response is not None:
                return response
            exchange = _Exchange(self._pool, call, source, outparam, limit_ms)
            exchange.has_ended(error)
        try:
            return await exchange.head()
        except BaseException:
            await exchange.cancel()
            raise

    def _whole(self, source: Source, outparam: ResponseOutparam) -> HttpResponse | None:
        """The response of a guest that has returned, if it has written all of it: nothing is left to do."""
        response = outparam.answer
        if not isinstance(response, OutgoingResponse):
            return None
        pipe = response.body
        whole = pipe.whole()
        if whole is None:
            return None
        source.close()
        usage = self._pool.usage
        usage.bytes_in += source.received
        usage.bytes_out += pipe.sent
        return HttpResponse(response.status, response.headers, WholeBody(whole), pipe.trailers, whole)


class _Exchange:
    """One request, from the guest's first poll to its end. `go_on` or `has_ended` is called once."""

    def __init__(
        self, pool: InstancePool, call: BegunCall, source: Source, outparam: ResponseOutparam, limit_ms: int
    ) -> None:
        self._pool = pool
        self._call = call
        self._source = source
        self._outparam = outparam
        self._limit_ms = limit_ms
        self._pipe: Pipe | None = None
        self._error: BaseException | None = None
        """What the guest has failed with."""
        self._late: asyncio.TimerHandle | None = None
        self._rest: asyncio.Task[None] | None = None
        """The guest, where it has not returned in its first poll."""
        self._has_ended = False

    def go_on(self) -> None:
        """Has the guest go on, in a task."""
        self._rest = asyncio.create_task(_drive(self._call), name=f"lath-http-{self._pool.name}")
        self._rest.add_done_callback(self._on_end)

    def has_ended(self, error: BaseException | None) -> None:
        """The guest has returned, or failed with `error`."""
        self._error = error
        self._has_ended = True
        self._source.close()
        self._pool.usage.bytes_in += self._source.received
        if error is None and not self._is_answered():
            self._pool.left_undone()
        if self._pipe is not None:
            self._settle_pipe(self._pipe)

    def _is_answered(self) -> bool:
        """Whether the guest has set a response, and finished its body."""
        answer = self._outparam.answer
        return isinstance(answer, OutgoingResponse) and answer.body.finished and not answer.body.broken

    async def head(self) -> HttpResponse:
        """The response, once the guest has set it."""
        outparam = self._outparam
        if outparam.answer is None and self._rest is not None:
            await self._answer_or_end(self._rest)
        answer = outparam.answer
        if isinstance(answer, OutgoingResponse):
            return await self._answered(answer)
        if answer is None and not self._has_ended:
            raise self._too_late("did not answer")
        await self._end()
        ((case, payload),) = (answer or {"internal-error": None}).items()
        shown = case if payload is None else f"{case} ({payload})"
        raise NoResponse(f"{self._pool.name} answered with the error {shown}", {case: payload})

    async def _answered(self, response: OutgoingResponse) -> HttpResponse:
        pipe = self._pipe = response.body
        if self._has_ended:
            self._settle_pipe(pipe)
        whole = pipe.whole()
        if whole is not None:
            self._expect_end()
            return HttpResponse(response.status, response.headers, WholeBody(whole), pipe.trailers, whole)
        if pipe.broken_at_once:
            # Engines of JavaScript do so where their program throws. A head would promise what is not there.
            await self.next_chunk(pipe)
        return HttpResponse(response.status, response.headers, _Body(self, pipe), pipe.trailers)

    async def _answer_or_end(self, rest: asyncio.Task[None]) -> None:
        """Returns once the guest has answered or is gone, or its time is up."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake(_: object = None) -> None:
            if not woken.done():
                woken.set_result(None)

        self._outparam.on_answer = wake
        rest.add_done_callback(wake)
        late = loop.call_at(deadline(self._call.began, self._limit_ms), wake)
        try:
            await woken
        finally:
            late.cancel()
            rest.remove_done_callback(wake)

    async def next_chunk(self, pipe: Pipe) -> bytes:
        """The next chunk of the body that the guest writes."""
        try:
            if pipe.empty:
                async with asyncio.timeout(self._limit_ms / 1000):
                    return await anext(pipe)
            return await anext(pipe)
        except StopAsyncIteration:
            self._expect_end()
            raise
        except TimeoutError:
            await self.cancel()
            raise self._too_late("did not go on with its body") from None
        except HttpFailure as failure:
            rest = self._rest
            if rest is not None and rest.done() and not rest.cancelled():
                rest.result()  # it trapped, which is why it dropped the body
            elif self._error is not None:
                raise self._error from None
            await self.cancel()
            raise Trap(f"{self._pool.name} broke off the body: {failure}") from failure

    async def close(self, pipe: Pipe) -> None:
        """Nobody wants the rest of the body. A guest that has not finished it is cancelled."""
        if pipe.finished:
            self._expect_end()
        else:
            await self.cancel()
        pipe.close()

    async def cancel(self) -> None:
        """Ends the guest, if it still runs, and waits until it has."""
        if self._rest is not None and not self._rest.done():
            self._rest.cancel()
            await asyncio.wait([self._rest])

    async def _end(self) -> None:
        """Waits until the guest has returned, and raises what it failed with."""
        self._expect_end()
        if self._rest is not None:
            await asyncio.wait([self._rest])
            if self._rest.cancelled():
                raise self._too_late("did not return")
            self._rest.result()
        if self._error is not None:
            raise self._error

    def _too_late(self, what: str) -> DeadlineExceeded:
        return DeadlineExceeded(f"{self._pool.name} {what} within {self._limit_ms} ms")

    def _expect_end(self) -> None:
        """The guest has to return soon."""
        rest = self._rest
        if rest is not None and self._late is None and not rest.done():
            self._late = asyncio.get_running_loop().call_later(self._limit_ms / 1000, rest.cancel)

    def _on_end(self, rest: asyncio.Task[None]) -> None:
        """The guest has returned, or is gone."""
        if self._late is not None:
            self._late.cancel()
        if rest.cancelled():
            error = CallCancelled(f"{self._pool.name} was stopped")
            self._call.give_up(error)  # where it was cancelled before it had begun
            self.has_ended(error)
        else:
            self.has_ended(rest.exception())

    def _settle_pipe(self, pipe: Pipe) -> None:
        """What the guest has not finished of the body it never will."""
        self._pool.usage.bytes_out += pipe.sent
        if not pipe.finished:
            unfinished = Trap(f"{self._pool.name} returned without finishing the body of its response")
            pipe.fail(self._error if isinstance(self._error, LathError) else unfinished)


def _end(call: BegunCall) -> Exception | None:
    """Ends a call that has finished; what it has failed with."""
    try:
        call.end()
    except Exception as error:
        return error
    return None


async def _drive(call: BegunCall) -> None:
    await call.drive()
    call.end()


class _Body:
    """The body of a response (`lath.http.ResponseBody`)."""

    def __init__(self, exchange: _Exchange, pipe: Pipe) -> None:
        self._exchange = exchange
        self._pipe = pipe

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await self._exchange.next_chunk(self._pipe)

    async def aclose(self) -> None:
        """Wants no more of it."""
        await self._exchange.close(self._pipe)
