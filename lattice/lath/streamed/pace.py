"""Time-outs of what goes on: each wait for the other side has one, and nothing else has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType

from lath.errors import DeadlineExceeded
from lath.streamed.values import ByteStream


class Pace:
    """The time-out of a call that is sent a stream: for its callee to begin, to go on, and to answer.

    Used as `async with pace:` around the call, which is given `pace.chunks(stream)` to send.

    Args:
        callee: Who is waited for, for messages.
        timeout_s: How long each wait may last.

    Attributes:
        begun: Done once the callee has asked for the first bytes.
    """

    def __init__(self, callee: str, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self._callee = callee
        self._timeout_s = timeout_s
        self._loop = loop
        self._scope = asyncio.timeout_at(loop.time() + timeout_s)
        self._within = False

    async def __aenter__(self) -> Pace:
        await self._scope.__aenter__()
        self._within = True
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._within = False
        try:
            await self._scope.__aexit__(cls, error, tb)
        except TimeoutError:
            what = "go on with the stream that it is sent, or answer it," if self.begun.done() else "begin"
            raise DeadlineExceeded(
                f"{self._callee} did not {what} within {self._timeout_s * 1000:.0f} ms"
            ) from None

    def chunks(self, stream: ByteStream) -> Paced:
        """The stream, to be sent."""
        return Paced(self, stream)

    def ask(self) -> None:
        """The callee wants more: until that is there, nobody waits for it."""
        if not self.begun.done():
            self.begun.set_result(None)
        self._until(None)

    def given(self) -> None:
        """It has what it wanted, and is waited for again."""
        self._until(self._loop.time() + self._timeout_s)

    def _until(self, deadline: float | None) -> None:
        if self._within and not self._scope.expired():
            self._scope.reschedule(deadline)


class Paced:
    """A stream on its way to a callee (`lath.rpc.call.StreamBody`); see `Pace`."""

    def __init__(self, pace: Pace, stream: ByteStream) -> None:
        self._pace = pace
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._pace.ask()
        try:
            await asyncio.sleep(0)  # one that is always there, and always taken, must let others run
            return await anext(self._stream)
        finally:
            self._pace.given()

    async def aclose(self) -> None:
        """Wants no more of it."""
        await self._stream.aclose()


class Patient:
    """A stream that is read, with a time-out for each of its pieces (`DeadlineExceeded`).

    Args:
        stream: Which.
        callee: Who makes it, for messages.
        timeout_s: How long one piece may take.
    """

    def __init__(self, stream: ByteStream, callee: str, timeout_s: float) -> None:
        self._stream = stream
        self._callee = callee
        self._timeout_s = timeout_s

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        scope = asyncio.timeout(self._timeout_s)
        try:
            async with scope:
                return await anext(self._stream)
        except TimeoutError:
            if not scope.expired():
                raise
            raise DeadlineExceeded(
                f"{self._callee} did not go on with its stream within {self._timeout_s * 1000:.0f} ms"
            ) from None

    async def aclose(self) -> None:
        """Wants no more of it."""
        await self._stream.aclose()


def patient(stream: ByteStream, callee: str, timeout_s: float) -> ByteStream:
    """The same stream, with a time-out for each piece; see `Patient`."""
    if stream.whole is not None:
        return stream
    return ByteStream(Patient(stream, callee, timeout_s), stream.size)
