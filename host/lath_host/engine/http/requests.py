"""`incoming-request`, `incoming-body` and the like: what a guest reads of a message from outside."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from lath.errors import Trap
from lath.http import Header, HttpRequest
from lath_host.engine.http.bodies import Source
from lath_host.engine.http.fields import Fields, visible
from lath_host.engine.http.messages import code_of
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, Immediate, WasiGuest
from lath_host.engine.wasi.bodies import SourceStream
from lath_host.engine.wasi.poll import CallOff, Pollable, Signal, Wake
from lath_host.engine.wasi.streams import READ_BYTES_MAX, IoError

METHODS: Final = frozenset(
    {"get", "head", "post", "put", "delete", "connect", "options", "trace", "patch"}
)  # fmt: skip
_SCHEMES: Final = {"http": "HTTP", "https": "HTTPS"}


class IncomingMessage(Local):
    """A request or a response that has come.

    Args:
        headers: Its header.
        source: Its body.
    """

    consumed = False

    def __init__(self, headers: list[Header], source: Source) -> None:
        self._headers = headers
        self.source = source

    @property
    def headers(self) -> list[Header]:
        """What the guest sees of its header."""
        return visible(self._headers)

    def end(self) -> None:
        super().end()
        if not self.consumed:
            self.source.close()


class IncomingRequest(IncomingMessage):
    """A request that a guest is to answer. It has one at a time, whose header its server has bounded.

    Args:
        request: Which.
        source: Its body.
    """

    def __init__(self, request: HttpRequest, source: Source) -> None:
        super().__init__(request.headers, source)
        self.request = request


class IncomingBody(Local):
    """The body of such a message.

    Args:
        source: Its bytes.
    """

    streamed = finished = False

    def __init__(self, source: Source) -> None:
        self.source = source

    def end(self) -> None:
        super().end()
        if not self.finished:
            self.source.close()


class FutureTrailers(Local):
    """What comes after a body: what the guest has not read of it is read and thrown away.

    Args:
        source: The body.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.given = False
        self._ended = Signal()
        self._draining: asyncio.Task[None] | None = None

    def ready(self) -> bool:
        """Whether the body is at its end (poll.Watched)."""
        if self.source.ended:
            return True
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        return False

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once it is (poll.Watched)."""
        return self._ended.watch(wake)

    def end(self) -> None:
        super().end()
        if self._draining is not None:
            self._draining.cancel()
        self.source.close()

    async def _drain(self) -> None:
        source = self.source
        while not source.ended:
            if source.ready():
                source.take(READ_BYTES_MAX)
                continue
            more = asyncio.Event()
            call_off = source.watch(more.set)
            try:
                await more.wait()
            finally:
                call_off()
        self._ended.notify()


def method_of(method: str) -> dict[str, Any]:
    """A method as a wire value."""
    lower = method.lower()
    return {lower: None} if lower in METHODS and method.isupper() else {"other": method}


def scheme_of(scheme: str) -> dict[str, Any]:
    """A scheme as a wire value."""
    known = _SCHEMES.get(scheme.lower())
    return {known: None} if known else {"other": scheme}


def _consume(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    message = params[0]
    if message.consumed:
        return {"err": None}
    message.source.open(guest.kept)
    message.consumed = True
    return {"ok": IncomingBody(message.source)}


def _headers(guest: WasiGuest, params: list[Any]) -> Fields:
    return Fields(params[0].headers, mutable=False)


def _stream(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    body = params[0]
    if body.streamed:
        return {"err": None}
    body.streamed = True
    return {"ok": SourceStream(body.source, body)}


def _finish(guest: WasiGuest, params: list[Any]) -> FutureTrailers:
    body = params[0]
    if body.children:
        raise Trap("it finished an incoming-body before it dropped the body's stream")
    body.finished = True
    body.end()
    return FutureTrailers(body.source)


def _trailers(guest: WasiGuest, params: list[Any]) -> dict[str, Any] | None:
    future = params[0]
    if not future.ready():
        return None
    if future.given:
        return {"err": None}
    future.given = True
    failure = future.source.failure
    if failure is not None:
        return {"ok": {"err": code_of(failure)}}
    trailers = visible(future.source.trailers())
    return {"ok": {"ok": Fields(trailers, mutable=False) if trailers else None}}


def _error_code(guest: WasiGuest, params: list[Any]) -> Any:
    error: IoError = params[0]
    return error.code if isinstance(error.code, dict) else None  # a socket's is another interface's


_REQUEST: Final = "[method]incoming-request."
_TYPES: Final[dict[str, Immediate]] = {
    _REQUEST + "method": lambda guest, params: method_of(params[0].request.method),
    _REQUEST + "path-with-query": lambda guest, params: params[0].request.path_with_query or None,
    _REQUEST + "scheme": lambda guest, params: scheme_of(params[0].request.scheme),
    _REQUEST + "authority": lambda guest, params: params[0].request.authority or None,
    _REQUEST + "headers": _headers,
    _REQUEST + "consume": _consume,
    "[method]incoming-response.status": lambda guest, params: params[0].status,
    "[method]incoming-response.headers": _headers,
    "[method]incoming-response.consume": _consume,
    "[method]incoming-body.stream": _stream,
    "[static]incoming-body.finish": _finish,
    "[method]future-trailers.subscribe": lambda guest, params: Pollable(params[0], params[0]),
    "[method]future-trailers.get": _trailers,
    "http-error-code": _error_code,
}
ANSWERS: Final = {("wasi:http/types", name): Answer(answer) for name, answer in _TYPES.items()}
