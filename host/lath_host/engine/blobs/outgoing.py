"""`outgoing-value`: what a guest writes, on its way to where `write-data` sends it.

A guest may call `write-data` before it writes the bytes, or after. Until then they are kept here, up to a
bound; from then on they go where they belong as they are written. `write-data` is done once the other side
reads, and `finish` once it has stored all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from lath.errors import CallCancelled, LimitExceeded, Trap
from lath.streamed import ByteStream
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, Ask, WasiGuest
from lath_host.engine.wasi.bodies import PIPE_BYTES_MAX, Pipe, PipeStream
from lath_host.engine.wasi.streams import StreamFailed

UNSENT_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of one value, before `write-data` says where it goes."""
_UNSENT: Final = (
    f"more than {UNSENT_BYTES_MAX} bytes were written before container.write-data said where they go: "
    "call it first, and the value is stored as it is written"
)
_REFUSED: Final = {"err": None}


class _Refused(Exception):
    """What the other side has answered, before the guest had written all."""


class _ValuePipe(Pipe):
    """The bytes of a value.

    Attributes:
        sent_on: Whether it is known where they go.
    """

    sent_on = False

    def room(self) -> int:
        if self._failure is not None:
            raise StreamFailed(self.told(self._failure))
        room = super().room()
        if self.sent_on:
            return max(0, room)
        if self._waiting >= UNSENT_BYTES_MAX:
            self.fail(LimitExceeded(_UNSENT))
            return self.room()
        return UNSENT_BYTES_MAX - self._waiting

    def put(self, data: bytes) -> None:
        if not self.sent_on:
            above = self._waiting + len(data) - max(self._waiting, PIPE_BYTES_MAX)
            self._count_more(max(0, above))
        super().put(data)


class OutgoingValue(Local):
    """A value that a guest writes.

    Attributes:
        streamed: Whether the guest has its stream, or had it.
        begun: Set once the other side reads.
        transfer: Sends it; None: it is not known yet where it goes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.streamed = False
        self.begun = asyncio.Event()
        self.transfer: asyncio.Task[Any] | None = None
        self._pipe = _ValuePipe()

    def stream(self, guest: WasiGuest) -> PipeStream:
        """What the guest writes it by."""
        self._pipe.open(guest.kept)
        self.streamed = True
        return PipeStream(self._pipe, self)

    def send(self, guest: WasiGuest, ask: Ask, params: list[Any]) -> None:
        """Begins to send it: `ask` is given `params`, with its bytes in the place of the last one."""
        self._pipe.sent_on = True
        self.transfer = guest.spawn(_asked(ask, [*params[:-1], ByteStream(_Bytes(self._pipe, self.begun))]))
        self.transfer.add_done_callback(self._sent)
        self._pipe.changed.notify()

    async def began(self) -> None:
        """Returns once the other side reads, or has answered."""
        assert self.transfer is not None, "asked of what is sent"
        reading = asyncio.ensure_future(self.begun.wait())
        try:
            await asyncio.wait([self.transfer, reading], return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()

    def complete(self) -> None:
        """The guest has written all of it."""
        if not self._pipe.finished:
            self._pipe.complete()

    async def outcome(self) -> Any:
        """The answer to what was sent, as a wire value. Raises what that came to."""
        assert self.transfer is not None, "asked of what is sent"
        await asyncio.wait([self.transfer])
        if self.transfer.cancelled():
            raise CallCancelled("the value was not sent to its end")
        return self.transfer.result()

    def end(self) -> None:
        """Its handle is gone. What was not finished is not whole, and whoever reads it is told."""
        super().end()
        self._pipe.fail(CallCancelled("the guest dropped the value before it had finished it"))
        if self.transfer is None:
            self._pipe.close()

    def _sent(self, transfer: asyncio.Task[Any]) -> None:
        """Nobody reads it any more; the guest, should it still write, is told why."""
        error = None if transfer.cancelled() else transfer.exception()
        if error is not None:
            self._pipe.fail(error if isinstance(error, Exception) else CallCancelled(str(error)))
        elif not transfer.cancelled() and isinstance(answer := transfer.result(), dict) and "err" in answer:
            self._pipe.fail(_Refused(answer["err"]))
        self._pipe.close()


class _Bytes:
    """The bytes of a value as its receiver reads them."""

    def __init__(self, pipe: Pipe, begun: asyncio.Event) -> None:
        self._pipe = pipe
        self._begun = begun

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._begun.set()
        return await anext(self._pipe)

    async def aclose(self) -> None:
        """Wants no more of it."""
        self._pipe.close()


async def _asked(ask: Ask, params: list[Any]) -> Any:
    return await ask(params)


async def write_data(guest: WasiGuest, params: list[Any], ask: Ask) -> Any:
    """Answers `container.write-data` (wasi.Forward)."""
    value: OutgoingValue = params[-1]
    if value.transfer is not None:
        return {"err": "the value has been given to write-data already: each object takes one of its own"}
    value.send(guest, ask, params)
    await value.began()
    if value.transfer is not None and value.transfer.done():
        return await value.outcome()
    return {"ok": None}


def _write_body(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    value: OutgoingValue = params[0]
    return _REFUSED if value.streamed else {"ok": value.stream(guest)}


async def _finish(guest: WasiGuest, params: list[Any]) -> Any:
    value: OutgoingValue = params[0]
    if value.children:
        raise Trap("it finished an outgoing-value before it dropped the value's stream")
    if value.transfer is None:
        value.end()
        return {"err": "container.write-data was not called: nobody knows where the value goes"}
    value.complete()
    try:
        return await value.outcome()
    finally:
        value.end()


_VALUE: Final = "outgoing-value."
ANSWERS: Final = {
    ("wasi:blobstore/types", name): answer
    for name, answer in {
        f"[static]{_VALUE}new-outgoing-value": Answer(lambda guest, params: OutgoingValue()),
        f"[method]{_VALUE}outgoing-value-write-body": Answer(_write_body),
        f"[static]{_VALUE}finish": Answer(later=_finish),
    }.items()
}
