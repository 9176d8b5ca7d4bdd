"""HTTP requests made as calls over the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from lath.errors import Internal, InvalidArgument
from lath.http import wire
from lath.http.messages import Header, HttpRequest, HttpResponse, WholeBody
from lath.names import InterfaceName
from lath.rpc.call import Following
from lath.rpc.exchange import Answer, Exchanges
from lath.streamed.parts import Ahead, Continued

if TYPE_CHECKING:
    from lath.bus import Bus
    from lath.rpc.caller import Caller

INTERFACE: Final = InterfaceName("wasi", "http", "incoming-handler")
FUNCTION: Final = "handle"
"""What a component exports that serves HTTP."""


class HttpCaller:
    """Has components answer requests.

    Args:
        bus: The connection.
        caller: Makes the calls.
    """

    def __init__(self, bus: Bus, caller: Caller) -> None:
        self._exchanges = Exchanges(bus, caller)

    async def call(
        self, target: str, tail: str, request: HttpRequest, *, timeout_ms: float, **routing: Any
    ) -> HttpResponse:
        """Has `target` answer a request. The body of the response must be iterated to its end, or closed.

        Args:
            target: The component.
            tail: The rest of the subject of `FUNCTION`.
            request: What is asked.
            timeout_ms: How long the response may take to begin.
            routing: The rest of what `lath.rpc.Caller.carry` takes.

        Raises:
            InvalidArgument: It is no request.
            LathError: There is no response.
        """
        deadline = asyncio.get_running_loop().time() + timeout_ms / 1000
        first, ahead = await _begin(request.body)
        follows = None
        if ahead is not None:
            follows = Following(ahead, lambda: wire.pack_trailers(_trailers(request)))
        try:
            payload = wire.pack_request(request, first, _trailers(request) if follows is None else [])
        except BaseException:
            if ahead is not None:
                await ahead.aclose()
            raise
        left_ms = max(1.0, (deadline - asyncio.get_running_loop().time()) * 1000)
        answer = await self._exchanges.call(target, tail, payload, follows, timeout_ms=left_ms, **routing)
        try:
            return await _response(answer)
        except InvalidArgument as e:  # the call has run
            await answer.close()
            raise Internal(f"the response of {target} is malformed: {e.message}") from e


async def _begin(body: AsyncIterator[bytes] | bytes | None) -> tuple[bytes | None, Ahead | None]:
    """As much of a body as goes with the message, and what follows, if anything does."""
    if body is None or (isinstance(body, bytes) and len(body) <= wire.BODY_BYTES_MAX):
        return body, None
    ahead = Ahead(WholeBody(body) if isinstance(body, bytes) else body)
    first = await ahead.begin(wire.BODY_BYTES_MAX)
    return first, None if ahead.whole else ahead


async def _response(answer: Answer) -> HttpResponse:
    status, headers, first, trailers = wire.unpack_response(answer.payload)
    stream = answer.stream
    if stream is None:
        await answer.close()  # whoever has all of a response sends no more of the request
        return HttpResponse(status, headers, WholeBody(first), trailers, first)
    body = Continued(first, stream, lambda: trailers.extend(_after(stream.after)), close=answer.close)
    return HttpResponse(status, headers, body, trailers)


def _after(packed: bytes) -> list[Header]:
    try:
        return wire.unpack_trailers(packed)
    except InvalidArgument as e:
        raise Internal(f"the trailers of the response are malformed: {e.message}") from e


def _trailers(request: HttpRequest) -> list[Header]:
    return request.trailers() if request.trailers is not None else []
