"""Bytes between a guest and others: from outside to a guest (`Source`), and from a guest to outside (`Pipe`).

Neither keeps more than a bound. A source fetches its next chunk when the guest wants one and the last is used
up; a pipe takes from the guest what it has room for, and makes room as it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from lath_host.engine.values.local import Kept, Local
from lath_host.engine.wasi.poll import CallOff, Signal, Wake
from lath_host.engine.wasi.streams import InputStream, IoError, OutputStream, StreamClosed, StreamFailed

PIPE_BYTES_MAX: Final = 256 * 1024
"""What a guest may be ahead of who reads its body. More would not be faster: guests write pieces of 4 to 64
KiB, and what 1,000 slow readers hold back has to fit into a host's memory."""
BODY_BYTES: Final = PIPE_BYTES_MAX
"""What an open body counts for among what is kept for a guest, whatever it has in it: so that how many may be
open does not hang on how fast others read."""


class _Counted:
    """Bytes that count among what is kept for a guest, while they are open.

    Attributes:
        taken: Whether the guest has asked for them.
    """

    taken = False
    _kept: Kept | None = None
    _counted = 0
    _changed: Signal | None = None

    @property
    def changed(self) -> Signal:
        """Tells that there may be bytes, or room for some. Most bodies are passed on whole, and need none."""
        if self._changed is None:
            self._changed = Signal()
        return self._changed

    def open(self, kept: Kept) -> None:
        """The guest has it, from now until nobody has any more use for it.

        Raises:
            LimitExceeded: It has too many open.
        """
        kept.take(BODY_BYTES)
        self.taken = True
        self._kept = kept
        self._counted = BODY_BYTES

    def _count_more(self, size: int) -> None:
        if self._kept is not None:
            self._kept.take(size)
            self._counted += size

    def _give_back(self) -> None:
        if self._kept is not None:
            self._kept.give_back(self._counted)
            self._kept = None


class Source(_Counted):
    """Bytes that come from outside.

    Args:
        chunks: All of it, or its chunks; None: it is empty. Chunks that have a method `take` are asked by it
            first for what is there, and iterated where it gives nothing.
        release: Called once nobody wants any more of it.

    Attributes:
        received: Bytes that have come so far.
    """

    received = 0
    _chunks: AsyncIterator[bytes] | None = None
    _take: Callable[[], bytes] | None = None
    _chunk: bytes = b""
    _at = 0
    _ended = False
    _failure: Exception | None = None
    _fetching: asyncio.Task[None] | None = None

    def __init__(
        self,
        chunks: AsyncIterator[bytes] | bytes | None,
        release: Callable[[], object] = bool,
    ) -> None:
        self._release = release
        if chunks is None or isinstance(chunks, bytes):
            self._ended = True
            self._chunk = chunks or b""
            self.received = len(self._chunk)
        else:
            self._chunks = chunks
            self._take = getattr(chunks, "take", None)

    @property
    def ended(self) -> bool:
        """Whether all has been taken, or no more will come."""
        return self._ended and self._at == len(self._chunk)

    @property
    def failure(self) -> Exception | None:
        """Why it broke off."""
        return self._failure

    def told(self, failure: Exception) -> IoError:
        """What the guest is told of why it broke off."""
        return IoError(str(failure))

    def ready(self) -> bool:
        """Whether there are bytes, or there will be no more (poll.Watched).

        Where there are none, some are fetched.
        """
        if self._at < len(self._chunk) or self._ended:
            return True
        if self._fetching is None:
            if self._take is not None and self._came(self._take):
                return True
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        return False

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once it may be ready (poll.Watched)."""
        return self.changed.watch(wake)

    def take(self, size: int) -> bytes:
        """Up to `size` bytes of what is there."""
        chunk, at = self._chunk, self._at
        if at == 0 and len(chunk) <= size:
            self._chunk = b""
            return chunk
        data = chunk[at : at + size]
        self._at += len(data)
        if self._at == len(chunk):
            self._chunk, self._at = b"", 0
        return data

    def close(self) -> None:
        """Nobody wants any more of it."""
        self._ended = True
        self._chunk, self._at = b"", 0
        self._give_back()
        if self._fetching is not None:
            self._fetching.cancel()
        release, self._release = self._release, bool
        release()

    def _came(self, take: Callable[[], bytes]) -> bool:
        """Whether something is there without a task that waits for it."""
        try:
            chunk = take()
        except Exception as error:
            self._ended, self._failure = True, error
            return True
        self._has(chunk)
        return bool(chunk)

    def _has(self, chunk: bytes) -> None:
        self.received += len(chunk)
        self._chunk, self._at = bytes(chunk), 0

    async def _fetch(self) -> None:
        assert self._chunks is not None
        try:
            while not (chunk := await anext(self._chunks)):
                pass
            self._has(chunk)
        except StopAsyncIteration:
            self._ended = True
        except Exception as error:
            self._ended, self._failure = True, error
        finally:
            self._fetching = None
            self.changed.notify()


class SourceStream(InputStream):
    """The stream by which a guest reads a source.

    Args:
        source: Which.
        parent: What it belongs to; None: it stands for itself.
    """

    def __init__(self, source: Source, parent: Local | None) -> None:
        super().__init__(parent)
        self._source = source

    def ready(self) -> bool:
        return self._source.ready()

    def watch(self, wake: Wake) -> CallOff:
        return self._source.watch(wake)

    def take(self, size: int) -> bytes:
        source = self._source
        if not source.ready():
            return b""
        if source.ended:
            if source.failure is not None:
                raise StreamFailed(source.told(source.failure))
            raise StreamClosed
        return source.take(size)


class Pipe(_Counted):
    """Bytes that a guest writes, an async iterator of them: all that there are at a time.

    Attributes:
        sent: Bytes that the guest has written.
    """

    sent = 0
    _chunks: list[bytes] | None = None
    """What the guest has written, and nobody has read yet."""
    _waiting = 0
    """The size of that."""
    _finished = False
    _failure: Exception | None = None
    _unread = False
    _reader: asyncio.Future[None] | None = None

    def told(self, failure: Exception) -> IoError:
        """What the guest is told of why it may write no more."""
        return IoError(str(failure))

    @property
    def finished(self) -> bool:
        """Whether there will be no more of it, for good or ill."""
        return self._finished or self._failure is not None

    @property
    def empty(self) -> bool:
        """Whether its reader has to wait for the guest."""
        return not self._chunks and not self.finished

    @property
    def broken(self) -> bool:
        """Whether it will never be whole."""
        return self._failure is not None

    @property
    def broken_at_once(self) -> bool:
        """Whether there will be no more of it, before there was any."""
        return self.broken and self.sent == 0

    # -- the guest's side ------------------------------------------------------------------------------------

    def room(self) -> int:
        """How much the guest may write now.

        Raises:
            StreamClosed, StreamFailed: It may write no more.
        """
        if self._unread or self._finished:
            raise StreamClosed
        if self._failure is not None:
            raise StreamFailed(self.told(self._failure))
        return PIPE_BYTES_MAX - self._waiting

    def put(self, data: bytes) -> None:
        """Takes what the guest has written."""
        if data:
            self._add(data)

    def _add(self, data: bytes) -> None:
        if self._chunks is None:
            self._chunks = [data]
        else:
            self._chunks.append(data)
        self.sent += len(data)
        self._waiting += len(data)
        self._wake_reader()

    def complete(self) -> None:
        """The guest has written all of it."""
        self._finished = True
        self._settle()
        self._wake_reader()

    def fail(self, error: Exception) -> None:
        """There will be no more of it, and it is not whole."""
        if not self.finished:
            self._failure = error
            self._settle()
            self._wake_reader()
            self.changed.notify()

    def _settle(self) -> None:
        """It counts no more once nothing is in it, and nothing will be."""
        if self._unread or (self.finished and not self._chunks):
            self._give_back()

    # -- the other side --------------------------------------------------------------------------------------

    def whole(self) -> bytes | None:
        """All of it, read at once, where the guest has finished it; None: not yet, or it failed."""
        if not self._finished or self._unread:
            return None
        return self._take()

    def close(self) -> None:
        """Nobody reads it any more."""
        self._unread = True
        self._chunks = None
        self._waiting = 0
        self._settle()
        self.changed.notify()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._finished or self._unread:
                raise StopAsyncIteration
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        was_full = self._waiting >= PIPE_BYTES_MAX
        data = self._take()
        if was_full:
            self.changed.notify()
        return data

    def _take(self) -> bytes:
        data = b"".join(self._chunks or ())
        self._chunks = None
        self._waiting = 0
        self._settle()
        return data

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class PipeStream(OutputStream):
    """The stream by which a guest writes a pipe.

    Args:
        pipe: Which.
        parent: The body that it belongs to.
    """

    def __init__(self, pipe: Pipe, parent: Local) -> None:
        super().__init__(parent)
        self._pipe = pipe
        self.room = pipe.room  # type: ignore[method-assign]
        self.put = pipe.put  # type: ignore[method-assign]

    def ready(self) -> bool:
        try:
            return self._pipe.room() > 0
        except (StreamClosed, StreamFailed):
            return True

    def watch(self, wake: Wake) -> CallOff:
        return self._pipe.changed.watch(wake)
