"""Says its name, and then what its upstream says.

Its environment has the name (NAME), where the upstream is (UPSTREAM, a URL), and which headers of a request
it passes on (PASS_ON, separated by spaces; without it, none). It knows WASI alone: nothing here is written
for lath.
"""

import asyncio
import os
from urllib.parse import urlsplit

import poll_loop
from componentize_py_types import Err, Ok
from poll_loop import PollLoop, Sink, Stream
from wit_world import exports
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingRequest,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Http,
    Scheme_Https,
)

PLAIN_TEXT = [("content-type", b"text/plain; charset=utf-8")]


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        loop = PollLoop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(answer(request, response_out))


async def answer(request: IncomingRequest, response_out: ResponseOutparam) -> None:
    upstream = os.environ["UPSTREAM"]
    try:
        status, said = await ask(upstream, passed_on(request))
    except Err as error:
        status, said = 502, f"no answer from {upstream}: {type(error.value).__name__}\n".encode()
    response = OutgoingResponse(Fields.from_list(PLAIN_TEXT))
    response.set_status_code(status)
    sink = Sink(response.body())
    ResponseOutparam.set(response_out, Ok(response))
    await sink.send(os.environ["NAME"].encode() + b" > " + said)
    sink.close()


async def ask(url: str, headers: list[tuple[str, bytes]]) -> tuple[int, bytes]:
    """The status and the body that `url` answers with."""
    parts = urlsplit(url)
    request = OutgoingRequest(Fields.from_list(headers))
    request.set_scheme(Scheme_Https() if parts.scheme == "https" else Scheme_Http())
    request.set_authority(parts.netloc)
    request.set_path_with_query(parts.path or "/")
    response = await poll_loop.send(request)
    body = Stream(response.consume())
    said = bytearray()
    while (chunk := await body.next()) is not None:
        said += chunk
    return response.status(), bytes(said)


def passed_on(request: IncomingRequest) -> list[tuple[str, bytes]]:
    names = os.environ.get("PASS_ON", "").split()
    return [(name, value) for name, value in request.headers().entries() if name.lower() in names]
