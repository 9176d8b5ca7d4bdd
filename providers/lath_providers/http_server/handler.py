"""Handles requests: finds the link, calls its component, and passes both bodies on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

from lath import telemetry
from lath.errors import CallCancelled, LathError
from lath.http import Header, HttpRequest, HttpResponse
from lath.provider import Link
from lath.subjects import HEADER_TRACEPARENT, HEADER_TRACESTATE
from lath_providers.http_server.exchange import Exchange, Refusal, RequestHead
from lath_providers.http_server.replies import (
    NO_BODY,
    announced_trailers,
    refusal_of,
    refusal_text,
    response_headers,
    response_trailers,
)
from lath_providers.http_server.routes import NoRoute, Routes, route_path
from lath_providers.http_server.served import RETRY_AFTER, Running, ServedLink

_log = telemetry.get_logger("lath.http")
_TRACE: Final = (HEADER_TRACEPARENT, HEADER_TRACESTATE)


class Serve(Protocol):
    """Calls the component at the other end of a link."""

    def __call__(self, link: Link, request: HttpRequest, *, timeout_ms: int) -> Awaitable[HttpResponse]:
        """Returns once the response has begun. Cancelled when the client goes away.

        Raises:
            LathError: There is none.
        """


class Outcome:
    """What became of a request, for its log line and its span."""

    __slots__ = ("bytes_out", "ended", "served", "status", "whole")

    def __init__(self, served: ServedLink | None) -> None:
        self.served = served
        self.status = 0
        self.bytes_out = 0
        self.ended = "ok"
        self.whole = False  # the response has been sent to its end


class Handler:
    """Answers the exchanges of one listener.

    Args:
        routes: The listener's.
        serve: Calls components.
        closing: Whether the listener is being closed.
        access_log: Whether each request is logged.
    """

    def __init__(
        self, routes: Routes[ServedLink], serve: Serve, closing: Callable[[], bool], *, access_log: bool
    ) -> None:
        self._routes = routes
        self._serve = serve
        self._closing = closing
        self._access_log = access_log

    async def answer(self, exchange: Exchange) -> None:
        """Answers one request, in a task and a context of its own."""
        head = exchange.head
        if HEADER_TRACEPARENT in head.read:
            telemetry.replace_current(_trace_of(head))
        found = self._find(head)
        outcome = Outcome(found if isinstance(found, ServedLink) else None)
        answer = self._traced if telemetry.sampled() else self._answer
        if self._access_log:
            await self._logged(exchange, outcome, answer(exchange, found, outcome))
        else:
            await answer(exchange, found, outcome)

    async def _logged(self, exchange: Exchange, outcome: Outcome, answer: Coroutine[Any, Any, None]) -> None:
        began = asyncio.get_running_loop().time()
        try:
            await answer
        except asyncio.CancelledError:
            outcome.ended = "client gone"
            raise
        finally:
            self._log(exchange.head, outcome, asyncio.get_running_loop().time() - began)

    async def _traced(self, exchange: Exchange, found: ServedLink | Refusal, outcome: Outcome) -> None:
        head, served = exchange.head, outcome.served
        attributes = {
            "http.request.method": head.method,
            "url.scheme": head.scheme,
            "url.path": head.target.partition("?")[0],
            "server.address": head.authority,
            "client.address": head.peer,
            "network.protocol.version": head.version,
        }
        if served is not None:
            attributes |= {"http.route": served.path, "lath.link": served.key}
        name = head.method if served is None else f"{head.method} {served.path}"
        with telemetry.span(name, "server", attributes) as span:
            await self._answer(exchange, found, outcome)
            span.set("http.response.status_code", outcome.status)
            if outcome.status >= 500 or outcome.ended != "ok":
                span.fail(outcome.ended if outcome.ended != "ok" else str(outcome.status), outcome.ended)

    def _log(self, head: RequestHead, outcome: Outcome, seconds: float) -> None:
        served = outcome.served
        _log.info(
            "request", method=head.method, path=head.target.partition("?")[0], status=outcome.status,
            bytes=outcome.bytes_out, ms=round(seconds * 1000, 1), peer=head.peer, host=head.authority,
            target=None if served is None else served.link.target, ended=outcome.ended,
        )  # fmt: skip

    async def _answer(self, exchange: Exchange, found: ServedLink | Refusal, outcome: Outcome) -> None:
        try:
            if isinstance(found, Refusal):
                raise found
            _check(exchange.head, found)
            with found.admit(exchange.task) as running:
                request = _request(exchange, found, running)
                response = await self._serve(found.link, request, timeout_ms=found.config.timeout_ms)
                if response.whole is not None and not response.trailers:
                    running.check()
                    await self._respond(exchange, response, response.whole, outcome)
                else:
                    await self._pass_on(exchange, response, running, outcome)
        except Refusal as refusal:
            await self._refuse(exchange, refusal, outcome)
        except LathError as error:
            outcome.ended = error.kind
            await self._refuse(exchange, refusal_of(error), outcome)
        except Exception:
            outcome.ended = "internal"
            _log.exception("a request could not be handled", path=exchange.head.target.partition("?")[0])
            await self._refuse(exchange, Refusal(500, "internal"), outcome)

    def _find(self, head: RequestHead) -> ServedLink | Refusal:
        """The link that a request is for, or why there is none."""
        if self._closing():
            return Refusal(503, "the server stops", RETRY_AFTER)
        path = route_path(head.target.partition("?")[0])
        try:
            return self._routes.find(head.host, path, head.method)
        except NoRoute as none:
            if none.allowed:
                allowed = ", ".join(none.allowed).encode()
                return Refusal(405, f"{head.method} is not served here", ((b"allow", allowed),))
            return Refusal(404, "nothing is served here")

    async def _respond(
        self, exchange: Exchange, response: HttpResponse, body: bytes, outcome: Outcome
    ) -> None:
        """Sends a response of which all is there."""
        headers = response_headers(response)
        if exchange.head.method == "HEAD" or response.status in NO_BODY:
            body = b""
        outcome.status = response.status
        outcome.bytes_out = len(body)
        await exchange.respond(response.status, headers, body)
        outcome.whole = True

    async def _pass_on(
        self, exchange: Exchange, response: HttpResponse, running: Running, outcome: Outcome
    ) -> None:
        """Sends a response as it comes."""
        try:
            running.check()
            if exchange.head.method == "HEAD" or response.status in NO_BODY:
                await self._respond(exchange, response, b"", outcome)  # nobody gets the rest: it is not made
            else:
                await self._stream(exchange, response, running, outcome)
        finally:
            await response.body.aclose()

    async def _stream(
        self, exchange: Exchange, response: HttpResponse, running: Running, outcome: Outcome
    ) -> None:
        """Sends a response as its body comes, and its trailers where they reach the client."""
        headers = response_headers(response)
        if exchange.takes_trailers:
            headers += announced_trailers(response)
        outcome.status = response.status
        await exchange.start(response.status, headers)
        async for chunk in response.body:
            if chunk:
                outcome.bytes_out += len(chunk)
                await exchange.write(chunk)
        running.check()  # a guest may end its response as if nothing were wrong with the request
        await exchange.finish(response_trailers(response) if exchange.takes_trailers else [])
        outcome.whole = True

    async def _refuse(self, exchange: Exchange, refusal: Refusal, outcome: Outcome) -> None:
        """Answers in the component's place; where its response has begun, breaks it off."""
        if outcome.whole:
            return  # whatever went wrong after it, its client has the response
        if exchange.started:
            outcome.ended = "reset" if outcome.ended == "ok" else outcome.ended
            exchange.reset()
            return
        outcome.status = refusal.status
        text = refusal_text(refusal)
        headers = [(b"content-type", b"text/plain; charset=utf-8"), *refusal.headers]
        try:
            await exchange.respond(refusal.status, self._with_close(exchange, headers), text)
        except Refusal:
            exchange.reset()

    def _with_close(
        self, exchange: Exchange, headers: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """Says that the connection ends with this response: the rest of the request is not wanted."""
        head = exchange.head
        if head.version != "2" and (head.has_body or self._closing()):
            headers.append((b"connection", b"close"))
        return headers


class RequestBody:
    """A request's body as its guest reads it; `AsyncIterator[bytes]`.

    What is wrong with it ends the request, whatever its guest makes of it.
    """

    def __init__(self, exchange: Exchange, served: ServedLink, running: Running) -> None:
        self._exchange = exchange
        self._served = served
        self._running = running
        self._bytes = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._exchange.read()
        except Refusal as refusal:
            raise self._refused(refusal) from None
        if not chunk:
            raise StopAsyncIteration
        return self._counted(chunk)

    def take(self) -> bytes:
        """What has come, without waiting; empty: iterating tells what is to come."""
        return self._counted(self._exchange.take())

    def _counted(self, chunk: bytes) -> bytes:
        self._bytes += len(chunk)
        if self._bytes > self._served.config.body_bytes_max:
            raise self._refused(_too_large(self._served))
        return chunk

    def _refused(self, refusal: Refusal) -> CallCancelled:
        self._running.end(refusal)
        return CallCancelled(refusal.reason)


def _check(head: RequestHead, served: ServedLink) -> None:
    if "expect" in head.read and head.values("expect") != ["100-continue"]:
        raise Refusal(417, "the only expectation met is 100-continue")
    if (head.content_length or 0) > served.config.body_bytes_max:
        raise _too_large(served)


def _request(exchange: Exchange, served: ServedLink, running: Running) -> HttpRequest:
    """What the component is asked."""
    head = exchange.head
    body = RequestBody(exchange, served, running) if head.has_body else None
    trailers = None if body is None else exchange.trailers
    return HttpRequest(
        head.method, head.scheme, head.authority, head.target, _guest_headers(head), body, trailers, head.peer
    )


def _too_large(served: ServedLink) -> Refusal:
    return Refusal(413, f"the request's body is above {served.config.body_bytes_max} bytes")


def _trace_of(head: RequestHead) -> telemetry.TraceContext | None:
    """The trace that a request belongs to; several traceparents are none, as W3C says."""
    parents = head.values(HEADER_TRACEPARENT)
    if len(parents) != 1:
        return None
    return telemetry.extract(
        {HEADER_TRACEPARENT: parents[0], HEADER_TRACESTATE: ",".join(head.values(HEADER_TRACESTATE))}
    )


def _guest_headers(head: RequestHead) -> list[Header]:
    """What the guest sees: the trace as it goes on from here."""
    if telemetry.current() is None:
        return head.headers
    trace: dict[str, str] = {}
    telemetry.inject(trace)
    kept = [header for header in head.headers if header[0] not in _TRACE]
    return [*kept, *((name, value.encode("latin-1")) for name, value in trace.items())]
