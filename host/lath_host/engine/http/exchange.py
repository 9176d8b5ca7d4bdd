"""Requests handed to the component of a pool, and its responses.

A request is one call of `wasi:http/incoming-handler`: it gets an instance, counts against the limits, and is
accounted as any call is. The response is there as soon as the guest has set it; the guest goes on, writing
the body as it is read, and its instance is in use until it has returned.

`timeout_ms` bounds what the guest makes others wait for, each by itself: the response's head, every piece of
its body, and the guest's return after that. A caller that is slow to read costs the guest nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from lath.errors import CallCancelled, DeadlineExceeded, LathError, Trap
from lath.http import HttpRequest, HttpResponse
from lath_host.engine.http.bodies import Pipe, Source
from lath_host.engine.http.messages import HttpFailure, NoResponse
from lath_host.engine.http.requests import IncomingRequest
from lath_host.engine.http.responses import OutgoingResponse, ResponseOutparam
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool

INCOMING_HANDLER: Final = "wasi:http/incoming-handler"
_HANDLE: Final = "handle"
_CALL_TIMEOUT_MS: Final = 7 * 86_400_000
"""Of the call itself, a week: an exchange has time-outs of its own, and lasts as long as both sides go on."""


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
        source, outparam = Source(request.body, request.trailers), ResponseOutparam()
        call = asyncio.create_task(
            self._pool.call(
                self._interface, _HANDLE, [IncomingRequest(request, source), outparam],
                context=context, timeout_ms=_CALL_TIMEOUT_MS,
            ),
            name=f"lath-http-{self._pool.name}",
        )  # fmt: skip
        exchange = _Exchange(self._pool, call, source, limit_ms)
        try:
            await asyncio.wait(
                (call, outparam.answered), timeout=limit_ms / 1000, return_when=asyncio.FIRST_COMPLETED
            )
            answer = outparam.answered.result() if outparam.answered.done() else None
            if isinstance(answer, OutgoingResponse):
                return exchange.answered(answer)
            if answer is None and not call.done():
                raise exchange.too_late("did not answer")
            await exchange.ended()
            ((case, payload),) = (answer or {"internal-error": None}).items()
            shown = case if payload is None else f"{case} ({payload})"
            raise NoResponse(f"{self._pool.name} answered with the error {shown}", {case: payload})
        except BaseException:
            await exchange.cancel()
            raise


class _Exchange:
    """One request, from the call to its end."""

    def __init__(self, pool: InstancePool, call: asyncio.Task[None], source: Source, limit_ms: int) -> None:
        self._pool = pool
        self._call = call
        self._source = source
        self._limit_ms = limit_ms
        self._pipe: Pipe | None = None
        self._has_ended = False
        self._late: asyncio.TimerHandle | None = None
        call.add_done_callback(self._on_end)

    def answered(self, response: OutgoingResponse) -> HttpResponse:
        """The response, as the guest has set it."""
        self._pipe = response.body
        if self._has_ended:
            self._settle(response.body)
        body = _Body(self, response.body)
        return HttpResponse(response.status, response.headers, body, response.body.trailers)

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
            raise self.too_late("did not go on with its body") from None
        except HttpFailure as failure:
            if self._call.done():
                self._call.result()  # it trapped, which is why it dropped the body
            await self.cancel()
            raise Trap(f"{self._pool.name} broke off the body: {failure}") from failure

    async def ended(self) -> None:
        """Waits until the guest has returned, and raises what it failed with."""
        self._expect_end()
        await asyncio.wait([self._call])
        if self._call.cancelled():
            raise self.too_late("did not return")
        self._call.result()

    async def close(self, pipe: Pipe) -> None:
        """Nobody wants the rest of the body. A guest that has not finished it is cancelled."""
        if pipe.finished:
            self._expect_end()
        else:
            await self.cancel()
        pipe.close()

    async def cancel(self) -> None:
        """Ends the guest, if it still runs, and waits until it has."""
        if not self._call.done():
            self._call.cancel()
            await asyncio.wait([self._call])

    def too_late(self, what: str) -> DeadlineExceeded:
        """What is raised when the guest takes too long."""
        return DeadlineExceeded(f"{self._pool.name} {what} within {self._limit_ms} ms")

    def _expect_end(self) -> None:
        if self._late is None and not self._call.done():
            loop = asyncio.get_running_loop()
            self._late = loop.call_later(self._limit_ms / 1000, self._call.cancel)

    def _on_end(self, call: asyncio.Task[None]) -> None:
        """The guest has returned, or is gone."""
        self._has_ended = True
        if self._late is not None:
            self._late.cancel()
        self._source.close()
        self._pool.usage.bytes_in += self._source.received
        if not call.cancelled():
            call.exception()  # told by `_settle`, or after the response is through, to nobody
        if self._pipe is not None:
            self._settle(self._pipe)

    def _settle(self, pipe: Pipe) -> None:
        """What the guest has not finished of the body it never will."""
        self._pool.usage.bytes_out += pipe.sent
        call = self._call
        error = CallCancelled(f"{self._pool.name} was stopped") if call.cancelled() else call.exception()
        unfinished = Trap(f"{self._pool.name} returned without finishing the body of its response")
        pipe.fail(error if isinstance(error, LathError) else unfinished)


class _Body:
    """The body of a response (`messages.ResponseBody`)."""

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
