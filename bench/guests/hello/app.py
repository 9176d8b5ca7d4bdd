"""The HTTP component in Python: answers every request with the same 66 bytes."""

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam

ANSWER = b"\xd9\x40" + b"x" * 64


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        response = OutgoingResponse(Fields.from_list([]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as sink:
            sink.blocking_write_and_flush(ANSWER)
        OutgoingBody.finish(body, None)
