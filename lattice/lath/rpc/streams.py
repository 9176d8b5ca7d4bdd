"""Byte streams beside a call: what its caller sends on, or its callee, for as long as both go on.

Each end has subjects of its own under an inbox of the second connection, and every message of a stream names
one of its sender's as the reply subject: so the server's `allow_responses` lets the other end answer. It
permits only so many answers to a subject, and only for a while: so an end takes another from time to time.
The first messages of the reading end go out on the connection that got the announcement (a call or a reply
with the header `Lath-Stream: open`), the rest on the second one.

The header `Lath-Stream` of a message says `{verb},{bytes}`:

| verb | from | bytes | payload |
|---|---|---|---|
| `pull` | reader | it may be sent so many, counted from the beginning | |
| `data` | writer | were sent before these | 256 KiB at most |
| `end` | writer | were sent; that is all | what comes after them (trailers), opaque here |
| `error` | either | - | the error, with the headers of a failed call |
| `stop` | reader | -; it wants no more | |
| `ask` | either | as in `pull`, or were sent | |
| `here` | either | likewise: the answer to `ask` | |
| `gone` | either | -; there is no such stream (any more) | |

A reader permits as much as it has room for, and more as that is used up: so a slow one stops its writer. An
end that has heard nothing for a while asks, and a reader that waits says its last `pull` again. The other's
process answers, whatever its stream waits for: so a stream may be silent for hours, and is given up when
nobody answers, or the server says that nobody listens.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final

from nats import errors as nats_errors
from nats.aio.msg import Msg

from lath.errors import CallCancelled, ConnectionLost, Internal, LathError
from lath.rpc.failure import body_of, error_of, headers_of
from lath.rpc.replies import may_answer
from lath.subjects import HEADER_STREAM

if TYPE_CHECKING:
    from lath.bus.client import BusClient
    from lath.rpc.stream_port import StreamPort

OPEN: Final = "open"
"""What `Lath-Stream` says on a call or a reply that announces a stream: its reply subject is the writer's."""
CHUNK_BYTES: Final = 256 * 1024
WINDOW_BYTES_MAX: Final = 4 * CHUNK_BYTES
"""What a reader permits at most beyond what it has used up."""
WINDOW_BYTES_MIN: Final = 16 * 1024
"""However many streams there are: one that gets so much per round trip still moves."""
WINDOWS_BYTES: Final = 32 * 1024 * 1024
"""What the readers of one connection permit together; each gets its share. The server cuts a connection off
that has 64 MiB waiting, and large payloads may take 8 of these."""
MESSAGES_PER_PULL: Final = 64
"""A writer of small pieces waits after so many, whatever their bytes: so that what waits to be read is
bounded, and no pull is answered more often than `allow_responses` permits."""
ASK_EVERY_S: Final = 5.0
"""How long an end hears nothing before it asks, and between its questions."""
GONE_S: Final = 20.0
"""An end that has heard nothing for so long, its questions unanswered, takes the other for gone."""
STRIKE_S: Final = 0.5
"""Nobody listening is believed when it is said twice, so far apart: a cluster's servers lose each other for
moments."""

RENEW_MESSAGES: Final = 256
"""Messages to and from one subject, after which an end takes the next. With those on their way it is well
below the 1000 that `lath.bus.permissions` gives."""
RENEW_S: Final = 60.0
"""Likewise how long it is in use: a tenth of what is given."""
_NOT_EXPECTED: Final = float("inf")
"""When it was heard, of an end that nobody owes anything yet."""


class End:
    """What both ends of a stream have in common. Use it in a `with` block, or `leave` it.

    Attributes:
        subject: Where its messages come in, now.
    """

    def __init__(self, port: StreamPort, name: str, client: BusClient, peer: str) -> None:
        self.subject = self._first_subject = port.register(name, self)
        self._subjects = itertools.count(1)
        self._exchanged = 0
        self._name = name
        self._port = port
        self._client = client
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._renewed = self._loop.time()
        self._heard = _NOT_EXPECTED
        self._asked = 0.0
        self._struck = 0.0
        self._error: LathError | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Takes no more messages; whoever sends one is told that there is no such stream."""
        self._port.forget(self._name)

    @property
    def begun(self) -> bool:
        """Whether the other end is known."""
        return bool(self._peer)

    @property
    def error(self) -> LathError | None:
        """Why there will be no more of it; None while there may be."""
        return self._error

    # --- in the read loop of a connection: nothing here may raise ------------------------------------------

    def take(self, verb: str, count: int, msg: Msg) -> None:
        """A message of the stream."""
        if may_answer(msg.reply):
            self._peer = msg.reply
            self._port.watch()
        self._exchanged += 1
        self._client = self._port.client
        self._heard = self._loop.time()
        self._asked = self._struck = 0.0
        if verb == "error":
            self.fail(error_of(msg) or Internal("the other end failed, and did not say of what"))
        else:
            self._on(verb, count, msg)
        if verb == "ask":
            self._mention("here", self._count())

    def unheard(self) -> None:
        """The server says that nobody listens at the other end."""
        now = self._loop.time()
        if not self._struck:
            self._struck = now
        elif now - self._struck >= STRIKE_S:
            self.fail(ConnectionLost("the other end of the stream is gone: nobody listens there"))

    def fail(self, error: LathError) -> None:
        """There will be no more of it."""
        if self._error is None:
            self._error = error
            self.leave()
            self._wake()

    def look(self, now: float) -> None:
        """Asks whether the other end is there, when nothing was heard of it for a while."""
        if not self._client.is_connected:
            self.fail(ConnectionLost("the connection to the bus broke amid the stream"))
        elif now - self._heard >= GONE_S:
            self.fail(ConnectionLost(f"nothing was heard of the other end of the stream for {GONE_S:g} s"))
        elif self._peer and (self._struck or now - max(self._heard, self._asked) >= ASK_EVERY_S):
            self._asked = now
            self._ask()

    def _ask(self) -> None:
        self._mention("ask", self._count())

    def _mention(self, verb: str, count: int) -> None:
        """Says something without waiting. Should it not arrive: it is asked for, or said, again."""
        if self._peer:
            headers = {HEADER_STREAM: f"{verb},{count}"}
            self._port.mention(self._client, self._peer, b"", self._reply(), headers)

    def _reply(self) -> str:
        """The reply subject of a message that goes out now."""
        now = self._loop.time()
        if self._exchanged >= RENEW_MESSAGES or now - self._renewed >= RENEW_S:
            self.subject = f"{self._first_subject}.{next(self._subjects)}"
            self._exchanged, self._renewed = 0, now
        self._exchanged += 1
        return self.subject

    # --- what either end does its own way ------------------------------------------------------------------

    def _on(self, verb: str, count: int, msg: Msg) -> None:
        raise NotImplementedError

    def _count(self) -> int:
        raise NotImplementedError

    def _wake(self) -> None:
        raise NotImplementedError

    async def _say(
        self, verb: str, count: int, data: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        told = {HEADER_STREAM: f"{verb},{count}", **(headers or {})}
        reply = self._reply()
        if self._client.post(self._peer, data, reply, told):
            return
        try:
            await self._client.written()
            await self._client.publish(self._peer, data, reply, told)
        except nats_errors.Error as e:
            raise ConnectionLost("the connection to the bus broke amid the stream") from e


class OutgoingStream(End):
    """The end that writes. Announce its `subject`, and call `send`.

    Attributes:
        touched: Whether the other end has asked for anything.
    """

    def __init__(self, port: StreamPort, name: str) -> None:
        super().__init__(port, name, port.client, "")
        self._sent = 0
        self._limit = 0
        self._messages_left = 0
        self._sender: asyncio.Task[object] | None = None
        self._permitted: asyncio.Future[None] | None = None

    @property
    def touched(self) -> bool:
        return self._limit > 0

    def announced(self) -> None:
        """The other end was told of it, and is expected to pull from now on."""
        self._heard = self._loop.time()
        self._port.watch()

    async def send(self, chunks: AsyncIterator[bytes], after: Callable[[], bytes]) -> None:
        """Sends chunks as the other end permits it, and the end. What they raise is sent as an error.

        Args:
            chunks: Of any size.
            after: Asked, at the end, for what is sent with it; 256 KiB at most.

        Raises:
            CallCancelled: The other end wants no more.
            ConnectionLost: It is gone, or the connection is.
            Exception: As `chunks` raised it.
        """
        task = asyncio.current_task()
        assert task is not None, "always run by a task"
        cancelling = task.cancelling()
        self._sender = task
        try:
            await self._room()
            async for chunk in chunks:
                await self._send_chunk(chunk)
            await self._say("end", self._sent, after())
        except asyncio.CancelledError:
            self._sender = None
            if self._error is not None and task.uncancel() <= cancelling:
                raise self._error from None
            self._tell(CallCancelled("the sender of the stream was stopped"))
            raise
        except LathError as e:
            self._tell(e)
            raise
        except Exception as e:
            self._tell(Internal(f"{type(e).__name__}: {e}"))
            raise
        finally:
            self._sender = None
            self.leave()

    async def _send_chunk(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk):
            await self._room()
            end = min(len(chunk), at + CHUNK_BYTES, at + self._limit - self._sent)
            piece = chunk if end - at == len(chunk) else chunk[at:end]
            await self._say("data", self._sent, piece)
            self._messages_left -= 1
            self._sent += len(piece)
            at = end

    async def _room(self) -> None:
        """Waits until something may be sent."""
        while self._error is None and (self._sent >= self._limit or not self._messages_left):
            self._permitted = self._loop.create_future()
            await self._permitted
        if self._error is not None:
            raise self._error

    def _tell(self, error: LathError) -> None:
        if self._error is not None:
            return
        if not self._peer:
            self._port.leave_word(self._name, error)
        else:
            told = {HEADER_STREAM: "error,0", **headers_of(error)}
            self._port.mention(self._client, self._peer, body_of(error), self._reply(), told)

    def _on(self, verb: str, count: int, msg: Msg) -> None:
        if verb in ("stop", "gone"):
            self.fail(CallCancelled("the reader of the stream wants no more of it"))
            return
        if verb == "pull":
            self._messages_left = MESSAGES_PER_PULL
        self._limit = max(self._limit, count)
        if self._permitted is not None and not self._permitted.done():
            self._permitted.set_result(None)

    def _count(self) -> int:
        return self._sent

    def _wake(self) -> None:
        if self._sender is not None:
            self._sender.cancel()


class IncomingStream(End):
    """The end that reads: an async iterator of chunks. Iterate it to its end, or close it.

    Nothing is asked for before the first `__anext__`, or `start`.

    Attributes:
        after: What came with the end; empty before it.
    """

    def __init__(self, port: StreamPort, name: str, client: BusClient, peer: str) -> None:
        super().__init__(port, name, client, peer)
        self.after = b""
        self._chunks: deque[bytes] = deque()
        self._permitted = self._received = self._taken = self._messages = 0
        self._ended = self._started = False
        self._reader: asyncio.Future[None] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await self.start()
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._reader = self._loop.create_future()
            await self._reader
        self._taken += len(self._chunks[0])
        self._messages += 1
        chunk = self._chunks.popleft()
        await self._permit()
        return chunk

    async def start(self) -> None:
        """Asks for the first bytes, if that was not done."""
        if not self._started:
            self._started = True
            self._heard = self._loop.time()
            self._port.watch()
            await self._permit()

    async def aclose(self) -> None:
        """Wants no more of it."""
        if self._started and not self._ended and self._error is None:
            self._mention("stop", 0)
        self._chunks.clear()
        self.fail(CallCancelled("the stream was closed by its reader"))

    async def _permit(self) -> None:
        """Lets the writer send more, once half of what it may is used up. What goes wrong is told later."""
        if self._ended or self._error is not None:
            return
        window = self._port.window()
        if self._permitted - self._taken > window // 2 and self._messages < MESSAGES_PER_PULL // 2:
            return
        self._permitted = max(self._permitted, self._taken + window)
        self._messages = 0
        try:
            await self._say("pull", self._permitted)
        except ConnectionLost as e:
            self.fail(e)

    def _on(self, verb: str, count: int, msg: Msg) -> None:
        if verb == "gone":
            self.fail(ConnectionLost("the sender of the stream is gone, and did not say why"))
        elif count != self._received:
            self._mention("stop", 0)
            self.fail(ConnectionLost(f"{count} bytes of the stream were sent, and {self._received} came"))
        elif verb == "data":
            self._take_data(msg.data)
        elif verb == "end":
            self._ended, self.after = True, msg.data
            self.leave()
            self._wake()

    def _take_data(self, data: bytes) -> None:
        if self._received + len(data) > self._permitted:
            self._mention("stop", 0)
            self.fail(Internal("the sender of the stream has sent more than it may"))
        elif data:
            self._received += len(data)
            self._chunks.append(data)
            self._wake()

    def _ask(self) -> None:
        super()._ask()
        if self._reader is not None and not self._reader.done():
            self._mention("pull", self._permitted)  # the last one may have been lost

    def _count(self) -> int:
        return self._permitted

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
