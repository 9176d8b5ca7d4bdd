"""Calls with streams in the friendly form of `lath.codec`, and those that stay in one process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lath.codec import FuncCodec
from lath.errors import DidNotRun, Internal
from lath.streamed.pace import Pace, patient
from lath.streamed.signature import Streaming
from lath.streamed.strings import StringStream
from lath.streamed.values import ByteStream


async def converse(
    codec: FuncCodec,
    streaming: Streaming,
    args: Sequence[Any],
    pace: Pace,
    send: Callable[[list[Any]], Awaitable[Any]],
) -> Any:
    """Calls a function.

    Args:
        codec: Of its values as they travel.
        streaming: What of it travels as a stream.
        args: Its arguments; in the stream's place bytes, an async iterator of bytes, or a `ByteStream`.
        pace: What the call stands under.
        send: Makes the call: wire values, and a `ByteStream` in its place, both ways.

    Returns:
        What `codec` makes of the result; of one that is a stream a `ByteStream`, or a `StringStream`.
    """
    params = _params(codec, streaming, args)
    try:
        async with pace:
            answer = await send(params)
    finally:
        if streaming.param is not None:
            await params[streaming.param].aclose()
    stream = streaming.stream_of(answer)
    if isinstance(stream, ByteStream):
        return StringStream(stream) if streaming.result == "strings" else stream
    return codec.result_from_wire(answer)


def _params(codec: FuncCodec, streaming: Streaming, args: Sequence[Any]) -> list[Any]:
    place = streaming.param
    if place is None or place >= len(args):
        return codec.params_to_wire(args)
    stream = args[place]
    params = codec.params_to_wire([*args[:place], (b"", None), *args[place + 1 :]])
    params[place] = stream if isinstance(stream, ByteStream) else ByteStream(stream)
    return params


async def call_here(
    streaming: Streaming,
    params: list[Any],
    pace: Pace,
    callee: str,
    timeout_s: float,
    serve: Callable[[list[Any]], Awaitable[Any]],
) -> Any:
    """Makes a call within this process.

    Args:
        streaming: What of the function travels as a stream.
        params: Wire values, and a `ByteStream` in its place.
        pace: What the call stands under.
        callee: Who serves it, for messages.
        timeout_s: How long each piece of the result's stream may take.
        serve: Serves it.

    Raises:
        LathError: What the call came to. One that says that it did not run has not read the stream.
    """
    place = streaming.param
    if place is not None and params[place].whole is None:
        stream: ByteStream = params[place]
        params = [*params[:place], ByteStream(pace.chunks(stream), stream.size), *params[place + 1 :]]
    try:
        result = await serve(params)
    except DidNotRun as error:
        if pace.begun.done():
            raise Internal(f"{callee} refused what it had begun to read: {error}") from error
        raise
    made = streaming.stream_of(result)
    return streaming.with_stream(patient(made, callee, timeout_s)) if isinstance(made, ByteStream) else result
