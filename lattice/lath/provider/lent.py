"""Streams of an operation that go on after its answer, or that have it last: the link is in use meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Final

from lath.errors import LathError
from lath.streamed import ByteStream
from lath.telemetry import get_logger

_log: Final = get_logger("lath.provider")


class ReadStream:
    """The stream that an operation is given.

    Args:
        stream: Its bytes.
        begun: Called when the first of them are asked for.
    """

    def __init__(self, stream: ByteStream, begun: Callable[[], None]) -> None:
        self._stream = stream
        self._begun: Callable[[], None] | None = begun

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._begun is not None:
            begun, self._begun = self._begun, None
            begun()
        return await anext(self._stream)

    async def aclose(self) -> None:
        """Wants no more of it."""
        await self._stream.aclose()


class LentStream:
    """The stream that an operation has made, while it is read.

    Args:
        stream: Its bytes.
        failure: What its reader is told of an exception.
        uses: Closed at its end: the call's hold on the link.
        lent: Where it stands as long as it goes on.

    Attributes:
        over: Set at its end.
    """

    def __init__(
        self,
        stream: ByteStream,
        failure: Callable[[Exception], LathError],
        uses: ExitStack,
        lent: set[LentStream],
    ) -> None:
        self.over = asyncio.Event()
        self._stream = stream
        self._failure = failure
        self._uses = uses
        self._lent = lent
        self._scope: asyncio.Timeout | None = None
        self._ended: LathError | None = None
        self._closing: asyncio.Task[None] | None = None
        lent.add(self)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._ended is not None:
            raise self._ended
        self._scope = asyncio.timeout(None)
        try:
            async with self._scope:
                await asyncio.sleep(0)  # what is always there must let others run
                return await anext(self._stream)
        except StopAsyncIteration:
            self._leave()
            raise
        except Exception as e:
            error = self._ended or self._failure(e)
            self._leave()
            if error is e:
                raise
            raise error from e
        finally:
            self._scope = None

    def end(self, error: LathError) -> None:
        """Breaks it off: its reader gets `error`."""
        if self._ended is not None or self.over.is_set():
            return
        self._ended = error
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())
        else:
            self._closing = asyncio.create_task(self.aclose(), name="lath-lent-stream")

    async def aclose(self) -> None:
        """Wants no more of it."""
        try:
            await self._stream.aclose()
        except Exception as e:
            _log.error("a stream could not be closed", exc_info=e)
        finally:
            self._leave()

    def _leave(self) -> None:
        if not self.over.is_set():
            self.over.set()
            self._lent.discard(self)
            self._uses.close()
