"""The caller's side: calls over the bus to which, or from which, a stream goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lath.codec import params_packer, unpack_for_type
from lath.errors import Internal, InvalidArgument
from lath.rpc.call import Following
from lath.rpc.exchange import Answer, Exchanges
from lath.streamed.pace import Pace, patient
from lath.streamed.parts import Continued
from lath.streamed.serving import BEGINNING_BYTES_MAX
from lath.streamed.signature import Streaming
from lath.streamed.values import ByteStream

if TYPE_CHECKING:
    from lath.bus import Bus
    from lath.rpc.caller import Caller

_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class StreamedFunction:
    """A function of which something travels as a stream, with what is the same for every call.

    Attributes:
        streaming: What, and where.
        pack: Packs the parameters, with `[beginning, size]` in the stream's place.
    """

    streaming: Streaming
    pack: Callable[[Any], bytes]

    @staticmethod
    def of(streaming: Streaming) -> StreamedFunction:
        return StreamedFunction(streaming, params_packer(streaming.func))


class StreamedCalls:
    """Makes such calls.

    Args:
        bus: The connection.
        caller: Makes the calls.
    """

    def __init__(self, bus: Bus, caller: Caller) -> None:
        self._exchanges = Exchanges(bus, caller)

    async def call(
        self,
        target: str,
        tail: str,
        function: StreamedFunction,
        params: list[Any],
        pace: Pace,
        *,
        timeout_ms: float,
        **routing: Any,
    ) -> Any:
        """Calls a function of `target`.

        Args:
            target: Component or provider.
            tail: The rest of the subject of the function.
            function: Which.
            params: Wire values, and a `ByteStream` in its place. That is closed, whatever comes of the call.
            pace: What the call stands under.
            timeout_ms: How long it may take until the stream of its parameters is read; how long each further
                piece of the result's may take.
            routing: The rest of what `lath.rpc.Caller.carry` takes.

        Returns:
            The wire value of the result, with a `ByteStream` in its place: to be read to its end, or closed.

        Raises:
            LathError: What the call came to.
        """
        streaming = function.streaming
        params, follows = _begin(streaming, params, pace)
        try:
            payload = function.pack(params)
        except BaseException:
            if follows is not None:
                await follows.chunks.aclose()
            raise
        answer = await self._exchanges.call(target, tail, payload, follows, timeout_ms=timeout_ms, **routing)
        try:
            return await _result(streaming, answer, target, timeout_ms / _MS)
        except InvalidArgument as e:  # the call has run
            await answer.close()
            raise Internal(f"the answer of {target} is malformed: {e.message}") from e


def _begin(streaming: Streaming, params: list[Any], pace: Pace) -> tuple[list[Any], Following | None]:
    """The parameters as they are packed, and what follows them."""
    place = streaming.param
    if place is None:
        return params, None
    stream: ByteStream = params[place]
    whole, size = stream.whole, stream.size
    if whole is not None and len(whole) <= BEGINNING_BYTES_MAX:
        return [*params[:place], [whole, size], *params[place + 1 :]], None
    follows = Following(pace.chunks(stream), bytes, lasts=True)
    return [*params[:place], [b"", size], *params[place + 1 :]], follows


async def _result(streaming: Streaming, answer: Answer, target: str, timeout_s: float) -> Any:
    result = unpack_for_type(answer.payload)
    carried = streaming.stream_of(result)
    if carried is None:
        await answer.close()
        return result
    match carried:
        case [bytes(beginning), (int() | None) as size]:
            pass
        case _:
            raise InvalidArgument("the result's stream is not [beginning, size]")
    if answer.stream is not None:
        rest = Continued(beginning, answer.stream, bool, answer.close)
        return streaming.with_stream(patient(ByteStream(rest, size), target, timeout_s))
    await answer.close()
    if size is not None and size != len(beginning):
        raise InvalidArgument(f"{len(beginning)} of the {size} bytes of its stream came, and no more follow")
    return streaming.with_stream(ByteStream(beginning))
