"""Requests handed to a CGI program, and its replies, streamed as it writes them.

A request is one call of `wasi:cli/run`: it gets an instance that has served nobody, counts against the
limits, and is accounted as any call is. Its body is the program's stdin, and what the program writes to
stdout is the reply; it is ahead of who reads that by `PIPE_BYTES_MAX` at most. The response is there once the
reply's header is whole, and the instance is in use until the program has ended.

`timeout_ms` bounds what the program makes others wait for, each by itself: the header, and every piece of the
body. A caller that is slow to read costs the program nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from lath.errors import CallCancelled, DeadlineExceeded, LathError, Trap
from lath.http import HttpRequest, HttpResponse, WholeBody
from lath.telemetry import get_logger
from lath_host.engine.begun import BegunCall
from lath_host.engine.cgi.reply import Malformed, Reply, end_of_head, read_reply
from lath_host.engine.cgi.variables import CannotTell, variables
from lath_host.engine.explain import Exited
from lath_host.engine.http.bodies import Pipe, Source
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool
from lath_host.engine.values.local import Local
from lath_host.engine.wasi.bodies import PipeStream, SourceStream
from lath_host.engine.wasi.environment import Environment
from lath_host.engine.wasi.standard import Standard

RUN_INTERFACE: Final = "wasi:cli/run"
_RUN: Final = "run"
LOCAL_REDIRECTS_MAX: Final = 10
"""Replies that lead to this program again; more go round in a circle."""
_BAD_REQUEST: Final = 400
_BAD_GATEWAY: Final = 502

_log = get_logger(__name__)


def run_interface(exports: Iterable[str]) -> str | None:
    """Which of the exports of a component is a program's `main`; None: none is."""
    for name in exports:
        if name.partition("@")[0] == RUN_INTERFACE:
            return name
    return None


class CgiHandler:
    """Serves HTTP with the program of a pool, as `HttpHandler` does with a component made for it.

    Args:
        pool: Runs it, in an instance for each call.
        interface: The export that is its `main`; see `run_interface`.
        env: The component's environment; what a request says goes before it.
        software: Who serves, for `SERVER_SOFTWARE`.
    """

    def __init__(self, pool: InstancePool, interface: str, env: Mapping[str, str], software: str) -> None:
        self._pool = pool
        self._interface = interface
        self._env = env
        self._software = software

    async def serve(
        self, request: HttpRequest, *, context: CallContext, timeout_ms: int | None = None
    ) -> HttpResponse:
        """Has a request answered. The body of the response must be iterated to its end, or closed.

        Args:
            request: What is asked.
            context: Given to every import that is made meanwhile.
            timeout_ms: How long the program may keep others waiting; None: the limit of the pool's calls.

        Returns:
            What the program replies; 502 with the reason where that is malformed, 400 where the request
            cannot be put to a CGI program.

        Raises:
            Trap: The program trapped before its reply began.
            DeadlineExceeded: The time is up, for the reply's header.
            LathError: As for any call (`InstancePool.call`).
        """
        for _ in range(LOCAL_REDIRECTS_MAX + 1):
            answer = await self._answer(request, context, timeout_ms or self._pool.limits.timeout_ms)
            if isinstance(answer, HttpResponse):
                return answer
            request = _redirected(request, answer)
        return self._bad_gateway(f"it leads to itself more than {LOCAL_REDIRECTS_MAX} times")

    async def _answer(self, request: HttpRequest, context: CallContext, limit_ms: int) -> HttpResponse | str:
        """What the program replies to one request: the response, or the path that it leads to."""
        try:
            env = {**self._env, **variables(request, self._software)}
        except CannotTell as problem:
            return _said(_BAD_REQUEST, str(problem))
        environment = Environment(tuple(env.items()), (self._pool.name,))
        run = await _Run.begin(self._pool, self._interface, request, environment, context, limit_ms)
        try:
            reply, rest = await run.head()
        except Malformed as problem:
            await run.cancel()
            return self._bad_gateway(str(problem))
        except BaseException:
            await run.cancel()
            raise
        if reply.local:
            await run.cancel()
            return reply.local
        length = 0 if request.method == "HEAD" else reply.content_length
        rest, has_ended = run.all_behind(rest)
        if has_ended and len(rest) >= (length or 0):
            whole = rest[:length]
            return HttpResponse(reply.status, reply.headers, WholeBody(whole), whole=whole)
        return HttpResponse(reply.status, reply.headers, _Body(run, rest, length))

    def _bad_gateway(self, problem: str) -> HttpResponse:
        _log.warning("the reply of a CGI program is malformed", component_id=self._pool.name, reason=problem)
        return _said(_BAD_GATEWAY, f"the reply of {self._pool.name} is malformed: {problem}")


class _Run:
    """The program's run for one request, from its first poll to its end."""

    def __init__(
        self,
        pool: InstancePool,
        source: Source,
        pipe: Pipe,
        call: BegunCall,
        limit_ms: int,
        deadline: float,
    ) -> None:
        self.pool = pool
        self._source = source
        self._pipe = pipe
        self._limit_ms = limit_ms
        self._deadline = deadline
        self._status = 0
        self._late: asyncio.TimerHandle | None = None
        self._rest: asyncio.Task[None] | None = None
        """The program, where it has not ended in its first poll."""
        if call.finished:
            try:
                self._take(call)
            except Exception as error:
                self._settle(error)
            else:
                self._settle(None)
        else:
            self._rest = asyncio.create_task(self._go_on(call), name=f"lath-cgi-{pool.name}")
            self._rest.add_done_callback(partial(self._on_end, call))

    @staticmethod
    async def begin(
        pool: InstancePool,
        interface: str,
        request: HttpRequest,
        environment: Environment,
        context: CallContext,
        limit_ms: int,
    ) -> _Run:
        """Begins one. Raises what `InstancePool.begin` does."""
        source, pipe = Source(request.body), Pipe(None, "HTTP-response-body-size")
        streams = Local()
        standard = Standard(
            environment, partial(SourceStream, source, streams), partial(PipeStream, pipe, streams)
        )
        deadline = asyncio.get_running_loop().time() + limit_ms / 1000
        try:
            call = await pool.begin(
                interface, _RUN, [], context=context, timeout_ms=limit_ms, standard=standard
            )
        except BaseException:
            source.close()
            raise
        return _Run(pool, source, pipe, call, limit_ms, deadline)

    async def head(self) -> tuple[Reply, bytes]:
        """The reply's header, and what came behind it.

        Raises:
            Malformed: It is none.
            DeadlineExceeded: It took too long.
            LathError: The program failed before it was whole.
        """
        written = bytearray()
        try:
            async with asyncio.timeout_at(self._deadline):
                async for chunk in self._pipe:
                    searched = len(written)
                    written += chunk
                    end = end_of_head(written, searched)
                    if end is not None:
                        return read_reply(bytes(written[:end])), bytes(written[end:])
        except TimeoutError:
            raise self._too_late("did not answer") from None
        how = f"ended with exit status {self._status}" if self._status else "ended"
        raise Malformed(f"it {how} after {len(written)} bytes, without the empty line behind its header")

    async def next_chunk(self) -> bytes:
        """The next chunk of what it writes."""
        try:
            if self._pipe.empty:
                async with asyncio.timeout(self._limit_ms / 1000):
                    return await anext(self._pipe)
            return await anext(self._pipe)
        except TimeoutError:
            await self.cancel()
            raise self._too_late("did not go on with its reply") from None

    def all_behind(self, rest: bytes) -> tuple[bytes, bool]:
        """What came behind the header, `rest` first, and whether that is all that there will be."""
        written = self._pipe.whole()
        return (rest, False) if written is None else (rest + written, True)

    def expect_end(self) -> None:
        """All of the reply is there: it may do nothing more but end."""
        self._pipe.close()
        rest = self._rest
        if rest is not None and self._late is None and not rest.done():
            loop = asyncio.get_running_loop()
            self._late = loop.call_later(self._limit_ms / 1000, rest.cancel)

    async def cancel(self) -> None:
        """Ends it, if it still runs, and waits until it has."""
        self._pipe.close()
        if self._rest is not None and not self._rest.done():
            self._rest.cancel()
            await asyncio.wait([self._rest])

    async def _go_on(self, call: BegunCall) -> None:
        await call.drive()
        self._take(call)

    def _take(self, call: BegunCall) -> None:
        """Takes what came of the call. Raises what the program has failed with."""
        self._status = 0 if "ok" in call.end() else 1

    def _on_end(self, call: BegunCall, rest: asyncio.Task[None]) -> None:
        if self._late is not None:
            self._late.cancel()
        stopped = CallCancelled(f"{self.pool.name} was stopped")
        error = stopped if rest.cancelled() else rest.exception()
        call.give_up(error or stopped)
        self._settle(error)

    def _settle(self, error: BaseException | None) -> None:
        """The program has ended: what it has written is all that there will be."""
        if isinstance(error, Exited):
            self._status, error = error.status, None
        if self._status:
            _log.warning("a CGI program failed", component_id=self.pool.name, exit_status=self._status)
        self._source.close()
        self.pool.usage.bytes_in += self._source.received
        self.pool.usage.bytes_out += self._pipe.sent
        if error is None:
            self._pipe.finish([])
        elif isinstance(error, LathError):
            self._pipe.fail(error)
        else:
            self._pipe.fail(Trap(f"{self.pool.name} broke off: {error}"))

    def _too_late(self, what: str) -> DeadlineExceeded:
        return DeadlineExceeded(f"{self.pool.name} {what} within {self._limit_ms} ms")


class _Body:
    """The body of a reply (`lath.http.ResponseBody`)."""

    def __init__(self, run: _Run, rest: bytes, length: int | None) -> None:
        self._run = run
        self._rest = rest
        self._left = length
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._left == 0 or self._ended:
            self._end()
        chunk, self._rest = self._rest, b""
        if not chunk:
            try:
                chunk = await self._run.next_chunk()
            except StopAsyncIteration:
                if self._left:
                    name = self._run.pool.name
                    raise Trap(f"{name} ended {self._left} bytes before its content-length") from None
                self._end()
        if self._left is not None:
            chunk = chunk[: self._left]
            self._left -= len(chunk)
        return chunk

    def _end(self) -> None:
        self._ended = True
        self._run.expect_end()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Wants no more of it."""
        if not self._ended:
            self._ended = True
            await self._run.cancel()


def _said(status: int, text: str) -> HttpResponse:
    headers = [("content-type", b"text/plain; charset=utf-8")]
    whole = f"{text}\n".encode()
    return HttpResponse(status, headers, WholeBody(whole), whole=whole)


def _redirected(request: HttpRequest, path: str) -> HttpRequest:
    """What a client would ask that had been led to `path`."""
    method = "HEAD" if request.method == "HEAD" else "GET"
    return replace(request, method=method, path_with_query=path, body=None, trailers=None)
