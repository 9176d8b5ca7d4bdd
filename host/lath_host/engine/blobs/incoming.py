"""`incoming-value`: an object's bytes, read by a guest as they come."""

from __future__ import annotations

from typing import Any, Final

from lath.errors import Internal, LimitExceeded
from lath.streamed import ByteStream
from lath.telemetry import get_logger
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, Ask, WasiGuest
from lath_host.engine.wasi.bodies import BODY_BYTES, Source, SourceStream

AT_ONCE_BYTES_MAX: Final = 32 * 1024 * 1024
"""What `incoming-value-consume-sync` gives at most: it is in the host's memory and in the guest's."""
_log: Final = get_logger(__name__)


class IncomingValue(Local):
    """The bytes of an object.

    Args:
        guest: Who has them.
        stream: The bytes.

    Attributes:
        stream: As above.
        size: How many they are.
    """

    kept_bytes = BODY_BYTES

    def __init__(self, guest: WasiGuest, stream: ByteStream, size: int) -> None:
        super().__init__()
        self.stream = stream
        self.size = size
        self._guest = guest
        self._consumed = False

    def consume(self) -> ByteStream:
        """The bytes, which are the taker's from now on."""
        self._consumed = True
        return self.stream

    def end(self) -> None:
        super().end()
        if not self._consumed:
            release(self._guest, self.stream)


class ValueStream(SourceStream):
    """The stream by which a guest reads such bytes."""

    def __init__(self, source: Source) -> None:
        super().__init__(source, None)

    def end(self) -> None:
        super().end()
        self._source.close()


def release(guest: WasiGuest, stream: ByteStream) -> None:
    """Nobody wants any more of a stream that a guest had."""
    if stream.whole is None:
        guest.spawn_lasting(_closed(stream))


async def _closed(stream: ByteStream) -> None:
    try:
        await stream.aclose()
    except Exception as error:
        _log.debug("could not close the bytes of an object", error=repr(error))


async def get_data(guest: WasiGuest, params: list[Any], ask: Ask) -> Any:
    """Answers `container.get-data` (wasi.Forward)."""
    answer = await ask(params)
    stream = answer.get("ok")
    if not isinstance(stream, ByteStream):
        return answer
    if stream.size is None:
        await stream.aclose()
        raise Internal("the bytes of an object came without their number")
    return {"ok": IncomingValue(guest, stream, stream.size)}


async def _consume_sync(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    value: IncomingValue = params[0]
    if value.size > AT_ONCE_BYTES_MAX:
        value.end()
        return {
            "err": f"{value.size} bytes are more than {AT_ONCE_BYTES_MAX} at once: consume them as a stream"
        }
    try:
        guest.kept.take(value.size)
    except LimitExceeded:
        value.end()
        raise
    try:
        return {"ok": await value.consume().read()}
    finally:
        guest.kept.give_back(value.size)


def _consume_async(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    value: IncomingValue = params[0]
    stream = value.stream
    source = Source(stream, lambda: release(guest, stream)) if stream.whole is None else Source(stream.whole)
    try:
        source.open(guest.kept)
    except LimitExceeded:
        value.end()
        raise
    value.consume()
    return {"ok": ValueStream(source)}


_VALUE: Final = "incoming-value."
ANSWERS: Final = {
    ("wasi:blobstore/types", name): answer
    for name, answer in {
        f"[static]{_VALUE}incoming-value-consume-sync": Answer(later=_consume_sync),
        f"[static]{_VALUE}incoming-value-consume-async": Answer(_consume_async),
        f"[method]{_VALUE}size": Answer(lambda guest, params: params[0].size),
    }.items()
}
