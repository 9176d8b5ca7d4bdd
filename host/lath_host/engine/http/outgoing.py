"""`outgoing-handler`, `outgoing-request` and the like: what a guest asks of others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from lath.http import Header
from lath.telemetry import get_logger
from lath_host.engine.http.bodies import Source
from lath_host.engine.http.fields import Fields, kept_bytes
from lath_host.engine.http.messages import HttpClient, HttpFailure, OutgoingRequest, code_of
from lath_host.engine.http.requests import IncomingMessage, method_of, scheme_of
from lath_host.engine.http.responses import OutgoingMessage, headers_of
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, Immediate, WasiGuest
from lath_host.engine.wasi.poll import CallOff, Pollable, Signal, Wake

_log = get_logger(__name__)
_ANSWER_BYTES: Final = 16 * 1024
"""What the header of a response counts for until the guest fetches it: more than servers commonly send."""
_NS_PER_MS: Final = 1_000_000
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_PATH: Final = re.compile(r"[^\x00-\x20\x7f#]*")
_AUTHORITY: Final = re.compile(r"[^\x00-\x20\x7f/?#@\\]+")
"""Without user and password, which no request carries there (RFC 9110, 4.2.4)."""
_DONE: Final = {"ok": None}
_REFUSED: Final = {"err": None}
_OPTIONS: Final = ("connect-timeout", "first-byte-timeout", "between-bytes-timeout")


class OutgoingMessageRequest(OutgoingMessage):
    """A request that a guest makes.

    Args:
        headers: Its header.
    """

    def __init__(self, headers: Fields) -> None:
        super().__init__(headers, "HTTP-request-body-size")
        self.method = "GET"
        self.scheme: str | None = None
        self.authority: str | None = None
        self.path: str | None = None


class RequestOptions(Local):
    """How long its parts may take.

    Attributes:
        timeouts_ns: By the option's name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.timeouts_ns: dict[str, int | None] = {}

    def ms(self, option: str) -> int | None:
        """In milliseconds, at least one."""
        timeout = self.timeouts_ns.get(option)
        return None if timeout is None else max(1, timeout // _NS_PER_MS)


class IncomingResponse(IncomingMessage):
    """A response that has come.

    Args:
        headers: Its header, which is kept for the guest as long as this is.
        source: Its body.
    """

    status: int

    def __init__(self, headers: list[Header], source: Source) -> None:
        super().__init__(headers, source)
        self.kept_bytes = kept_bytes(headers)


class FutureResponse(Local):
    """A response that will come, or the reason why there is none.

    Args:
        request: What it answers.
        work: What sends that.
    """

    def __init__(self, request: OutgoingMessageRequest, work: asyncio.Task[IncomingResponse]) -> None:
        super().__init__()
        self.kept_bytes = request.kept_bytes + _ANSWER_BYTES
        self.given = False
        self._request_body = request.body
        self._work = work
        self._done = Signal()
        work.add_done_callback(self._on_done)

    def ready(self) -> bool:
        """Whether it has come (poll.Watched)."""
        return self._work.done()

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once it has (poll.Watched)."""
        return self._done.watch(wake)

    def outcome(self) -> dict[str, Any]:
        """The response or an `error-code`, once it has come."""
        if self._work.cancelled():
            return {"err": {"connection-terminated": None}}
        error = self._work.exception()
        return {"ok": self._work.result()} if error is None else {"err": code_of(error)}

    def end(self) -> None:
        super().end()
        self._work.cancel()
        if not self.given and self._work.done() and not self._work.cancelled() and not self._work.exception():
            self._work.result().end()

    def _on_done(self, work: asyncio.Task[IncomingResponse]) -> None:
        if work.cancelled() or work.exception() is not None:  # which the guest is told, if it asks
            self._request_body.fail(HttpFailure("connection-terminated"))
            self._request_body.close()
        self._done.notify()


async def _send(guest: WasiGuest, client: HttpClient, request: OutgoingRequest) -> IncomingResponse:
    response = await client.send(request)
    close = getattr(response.body, "aclose", None)

    def release() -> None:
        if close is not None:
            guest.spawn_lasting(_closed(close))

    source = Source(response.body, release)
    source.trailing = response.trailers
    message = IncomingResponse(response.headers, source)
    message.status = response.status
    return message


async def _closed(close: Callable[[], Awaitable[object]]) -> None:
    try:
        await close()
    except Exception as error:
        _log.debug("could not close the body of a response", error=repr(error))


def _handle(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    request, options = params[0], params[1] or RequestOptions()
    client = guest.surroundings.outbound
    if client is None:
        request.body.fail(HttpFailure("HTTP-request-denied"))
        return {"err": {"HTTP-request-denied": None}}
    if not request.body.taken:
        request.body.finish([])
    asked = OutgoingRequest(
        request.method, request.scheme or "https", request.authority or "", request.path or "",
        request.headers, request.body if request.body.taken else None, request.body.trailers,
        *map(options.ms, _OPTIONS),
    )  # fmt: skip
    work = guest.spawn(_send(guest, client, asked))
    return {"ok": FutureResponse(request, work)}


def _get(guest: WasiGuest, params: list[Any]) -> dict[str, Any] | None:
    future = params[0]
    if not future.ready():
        return None
    if future.given:
        return _REFUSED
    future.given = True
    return {"ok": future.outcome()}


def _set_method(guest: WasiGuest, params: list[Any]) -> dict[str, None]:
    request, method = params
    ((case, other),) = method.items()
    if case == "other" and _TOKEN.fullmatch(other) is None:
        return _REFUSED
    method = other if case == "other" else case.upper()
    request.keep(request.kept_bytes + len(method) - len(request.method))
    request.method = method
    return _DONE


def _set_scheme(guest: WasiGuest, params: list[Any]) -> dict[str, None]:
    request, scheme = params
    if scheme is None:
        request.scheme = None
        return _DONE
    ((case, other),) = scheme.items()
    if case == "other" and _SCHEME.fullmatch(other) is None:
        return _REFUSED
    scheme = (other if case == "other" else case).lower()
    request.keep(request.kept_bytes + len(scheme) - len(request.scheme or ""))
    request.scheme = scheme
    return _DONE


def _setting(attribute: str, valid: re.Pattern[str]) -> Immediate:
    def answer(guest: WasiGuest, params: list[Any]) -> dict[str, None]:
        request, value = params
        if value is not None and valid.fullmatch(value) is None:
            return _REFUSED
        before: str | None = getattr(request, attribute)
        request.keep(request.kept_bytes + len(value or "") - len(before or ""))
        setattr(request, attribute, value)
        return _DONE

    return answer


def _setting_option(option: str) -> Immediate:
    def answer(guest: WasiGuest, params: list[Any]) -> dict[str, None]:
        options, timeout_ns = params
        options.timeouts_ns[option] = timeout_ns
        return _DONE

    return answer


def _getting_option(option: str) -> Immediate:
    return lambda guest, params: params[0].timeouts_ns.get(option)


def _scheme(guest: WasiGuest, params: list[Any]) -> dict[str, Any] | None:
    scheme = params[0].scheme
    return scheme_of(scheme) if scheme is not None else None


_REQUEST: Final = "[method]outgoing-request."
_OPTION: Final = "[method]request-options."
_TYPES: Final[dict[str, Immediate]] = {
    "[constructor]outgoing-request": lambda guest, params: OutgoingMessageRequest(params[0]),
    _REQUEST + "method": lambda guest, params: method_of(params[0].method),
    _REQUEST + "set-method": _set_method,
    _REQUEST + "path-with-query": lambda guest, params: params[0].path,
    _REQUEST + "set-path-with-query": _setting("path", _PATH),
    _REQUEST + "scheme": _scheme,
    _REQUEST + "set-scheme": _set_scheme,
    _REQUEST + "authority": lambda guest, params: params[0].authority,
    _REQUEST + "set-authority": _setting("authority", _AUTHORITY),
    _REQUEST + "headers": headers_of,
    "[constructor]request-options": lambda guest, params: RequestOptions(),
    "[method]future-incoming-response.get": _get,
    "[method]future-incoming-response.subscribe": lambda guest, params: Pollable(params[0], params[0]),
} | {
    name: answer
    for option in _OPTIONS
    for name, answer in (
        (_OPTION + option, _getting_option(option)),
        (f"{_OPTION}set-{option}", _setting_option(option)),
    )
}
ANSWERS: Final = {("wasi:http/types", name): Answer(answer) for name, answer in _TYPES.items()} | {
    ("wasi:http/outgoing-handler", "handle"): Answer(_handle)
}
