"""The callee's side: streams among the parameters of a call that came in, and in the result that goes out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from lath.codec import FuncCodec
from lath.errors import Internal, InvalidArgument
from lath.rpc.call import Following, IncomingCall, Streamed
from lath.streamed.parts import Ahead, Continued
from lath.streamed.signature import Content, Streaming
from lath.streamed.strings import PackedStrings
from lath.streamed.values import ByteStream

BEGINNING_BYTES_MAX: Final = 256 * 1024
"""Of a stream, in the message that announces it: a smaller one goes in that message whole."""


def arguments_of(streaming: Streaming, codec: FuncCodec, call: IncomingCall) -> list[Any]:
    """The arguments of a call that came over the bus.

    Raises:
        InvalidArgument: They are malformed.
    """
    args = codec.decode_params(call.payload)
    if streaming.param is None:
        return args
    beginning, size = args[streaming.param]
    if call.stream is not None:
        rest = Continued(beginning, call.stream, bool, call.stream.aclose)
        args[streaming.param] = ByteStream(rest, size)
    elif size is not None and size != len(beginning):
        raise InvalidArgument(f"{len(beginning)} of the {size} bytes of the stream came, and no more follow")
    else:
        args[streaming.param] = ByteStream(beginning)
    return args


def arguments_here(streaming: Streaming, codec: FuncCodec, params: list[Any]) -> list[Any]:
    """The arguments of a call from the same process: wire values, and a `ByteStream` in its place."""
    place = streaming.param
    if place is None:
        return codec.params_from_wire(params)
    stream = params[place] if place < len(params) else None
    if not isinstance(stream, ByteStream):
        raise InvalidArgument(f"parameter {streaming.func.params[place].name!r} is no stream of bytes")
    args = codec.params_from_wire([*params[:place], [b"", None], *params[place + 1 :]])
    args[place] = stream
    return args


async def begun(content: Content, made: Any) -> ByteStream:
    """The stream that an operation has made, once its first piece is there.

    Raises:
        Internal: It is none, or its size is not known where it has to be.
        Exception: What making the first piece raised.
    """
    stream = _stream_of(content, made)
    if stream.whole is not None:
        return stream
    try:
        first = await anext(stream)
    except StopAsyncIteration:
        return ByteStream(b"")
    return ByteStream(Continued(first, stream, bool, stream.aclose), stream.size)


def _stream_of(content: Content, made: Any) -> ByteStream:
    if content == "strings":
        if not isinstance(made, AsyncIterator):
            raise Internal(f"expected an async iterator of strings, got {made!r:.80}")
        return ByteStream(PackedStrings(made))
    if isinstance(made, bytes | bytearray | memoryview):
        return ByteStream(bytes(made))
    if not isinstance(made, ByteStream):
        raise Internal(f"expected a ByteStream or bytes, got {made!r:.80}")
    if made.size is None:
        raise Internal("the ByteStream has no size: say how many bytes it has")
    return made


async def result_of(codec: FuncCodec, stream: ByteStream) -> bytes | Streamed:
    """The result that a stream makes: in one message if it is small and all there, else it goes on."""
    body = Ahead(stream, stream.aclose)
    try:
        beginning = await body.begin(BEGINNING_BYTES_MAX)
        payload = codec.encode_result((beginning, stream.size))
    except BaseException:
        await body.aclose()
        raise
    if not body.whole:
        return Streamed(payload, Following(body, bytes))
    await body.aclose()
    return payload
