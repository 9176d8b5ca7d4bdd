"""HTTP requests that come as calls over the bus, and the responses as their results."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lath.http import wire
from lath.http.messages import Header, HttpRequest, HttpResponse
from lath.rpc.call import Following, IncomingCall, Streamed
from lath.streamed.parts import Ahead, Continued

if TYPE_CHECKING:
    from lath.rpc.streams import IncomingStream


def request_of(call: IncomingCall) -> HttpRequest:
    """The request that a call brings. Its body, where it goes on, is there until the call has ended.

    Raises:
        InvalidArgument: The call brings something else.
    """
    request, first, trailers = wire.unpack_request(call.payload)
    stream = call.stream
    if stream is None:
        request.body = first
    else:
        ended = partial(_take_trailers, stream, trailers)
        request.body = Continued(first or b"", stream, ended)
    request.trailers = lambda: trailers
    return request


async def result_of(response: HttpResponse) -> bytes | Streamed:
    """The result that a response makes: in one message if it is small and all there, else with a stream."""
    whole = response.whole
    if whole is not None and len(whole) <= wire.BODY_BYTES_MAX:
        return wire.pack_response(response.status, response.headers, whole, response.trailers)
    body = Ahead(response.body, response.body.aclose)
    try:
        first = await body.begin(wire.BODY_BYTES_MAX)
        trailers = response.trailers if body.whole else []
        payload = wire.pack_response(response.status, response.headers, first, trailers)
    except BaseException:
        await body.aclose()
        raise
    if body.whole:
        return payload
    return Streamed(payload, Following(body, lambda: wire.pack_trailers(response.trailers)))


def _take_trailers(stream: IncomingStream, trailers: list[Header]) -> None:
    trailers.extend(wire.unpack_trailers(stream.after))
