"""`outgoing-response`, `outgoing-body` and `response-outparam`: what a guest answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lath.errors import Trap
from lath_host.engine.http.bodies import Pipe
from lath_host.engine.http.fields import Fields, content_length
from lath_host.engine.http.messages import HttpFailure
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, Immediate, WasiGuest
from lath_host.engine.wasi.bodies import PipeStream

_STATUSES: Final = range(100, 1000)
_DONE: Final = {"ok": None}
_REFUSED: Final = {"err": None}


class OutgoingMessage(Local):
    """A request or a response that a guest makes.

    Args:
        headers: Its header, which from here on does not change.
        wrong_size: The case of `error-code` for a body that is not as long as the header says.

    Attributes:
        headers: As above.
        body: Its body.
    """

    def __init__(self, headers: Fields, wrong_size: str) -> None:
        headers.end()
        self.headers = headers.entries
        self.kept_bytes = headers.kept_bytes
        self.body = Pipe(content_length(headers.entries), wrong_size)

    def end(self) -> None:
        """The guest has dropped it: nobody will read its body."""
        super().end()
        self.body.close()


class OutgoingResponse(OutgoingMessage):
    """A response that a guest makes.

    Args:
        headers: Its header.
    """

    status = 200

    def __init__(self, headers: Fields) -> None:
        super().__init__(headers, "HTTP-response-body-size")


class OutgoingBody(Local):
    """The body of such a message.

    Args:
        pipe: Where its bytes go.
    """

    streamed = False

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe

    def end(self) -> None:
        super().end()
        if not self.pipe.finished:
            self.pipe.fail(HttpFailure("internal-error", "the guest dropped the body without finishing it"))


class ResponseOutparam(Local):
    """Where a guest puts its answer. Dropped without one, it is answered with an error.

    Attributes:
        answer: The response, or the `error-code` in its place; None: neither yet.
        on_answer: Called once it is there.
    """

    answer: OutgoingResponse | dict[str, Any] | None = None
    on_answer: Callable[[], object] = bool

    def give(self, answer: OutgoingResponse | dict[str, Any]) -> None:
        """Takes the guest's answer."""
        self.answer = answer
        self.on_answer()

    def end(self) -> None:
        super().end()
        if self.answer is None:
            self.give({"internal-error": "the guest dropped response-outparam without setting it"})


def _set(guest: WasiGuest, params: list[Any]) -> None:
    outparam, result = params
    if "err" in result:
        outparam.give(result["err"])
        return
    response = result["ok"]
    if not response.body.taken:
        response.body.finish([])
    outparam.give(response)


def _set_status(guest: WasiGuest, params: list[Any]) -> dict[str, None]:
    response, status = params
    if status not in _STATUSES:
        return _REFUSED
    response.status = status
    return _DONE


def _body(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    pipe = params[0].body
    if pipe.taken:
        return _REFUSED
    pipe.open(guest.kept)
    return {"ok": OutgoingBody(pipe)}


def _write(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    body = params[0]
    if body.streamed:
        return _REFUSED
    body.streamed = True
    return {"ok": PipeStream(body.pipe, body)}


def _finish(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    body, trailers = params
    if body.children:
        raise Trap("it finished an outgoing-body before it dropped the body's stream")
    code = body.pipe.finish(trailers.entries if trailers else [])
    body.end()
    return _DONE if code is None else {"err": code}


def headers_of(guest: WasiGuest, params: list[Any]) -> Fields:
    """The header of a message that a guest makes, which it may only read."""
    return Fields(params[0].headers, mutable=False)


_TYPES: Final[dict[str, Immediate]] = {
    "[constructor]outgoing-response": lambda guest, params: OutgoingResponse(params[0]),
    "[method]outgoing-response.status-code": lambda guest, params: params[0].status,
    "[method]outgoing-response.set-status-code": _set_status,
    "[method]outgoing-response.headers": headers_of,
    "[method]outgoing-response.body": _body,
    "[method]outgoing-request.body": _body,
    "[method]outgoing-body.write": _write,
    "[static]outgoing-body.finish": _finish,
    "[static]response-outparam.set": _set,
}
ANSWERS: Final = {("wasi:http/types", name): Answer(answer) for name, answer in _TYPES.items()}
