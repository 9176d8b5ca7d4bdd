"""The streams of one bus that end in this process: hands their messages on, and looks after silent ones."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from nats import errors as nats_errors
from nats.aio.msg import Msg

from lath import telemetry
from lath.bus.client import BusClient
from lath.bus.sink import sink
from lath.errors import InvalidArgument, LathError, NotConnected
from lath.names import new_id, shown
from lath.rpc import streams
from lath.rpc.failure import body_of, headers_of
from lath.rpc.replies import may_answer
from lath.rpc.streams import End, IncomingStream, OutgoingStream
from lath.subjects import HEADER_ASK, HEADER_STREAM

if TYPE_CHECKING:
    from lath.bus import Bus

LOOK_EVERY_S: Final = 0.5
"""How often the streams are looked through for those of which nothing was heard."""
_VERBS: Final = frozenset({"pull", "data", "end", "error", "stop", "ask", "here", "gone"})
_FINAL: Final = frozenset({"end", "error", "stop", "gone"})
"""What needs no answer where its stream is over."""
_DIGITS_MAX: Final = 18
_STATUS: Final = "Status"
_MENTIONS_MAX: Final = 1000
"""Messages that wait to be written at once, of those that nobody waits for."""
_WORDS_MAX: Final = 256
"""Errors kept for ends that have not asked for anything yet; of more, the latest."""

_log = telemetry.get_logger("lath.rpc")
_ports: Final[weakref.WeakKeyDictionary[Bus, StreamPort]] = weakref.WeakKeyDictionary()


class StreamPort:
    """The ends of streams on one bus, both ways. Shared by all callers and servers on it."""

    def __init__(self, client: BusClient) -> None:
        # The registry is keyed weakly by the bus, which the client leads back to.
        self._client = weakref.ref(client)
        self._inbox: str = client.new_inbox()
        self._opening = asyncio.Lock()
        self._opened = False
        self._ends: dict[str, End] = {}
        self._words: dict[str, LathError] = {}
        self._replies: dict[str, Callable[[Msg], None]] = {}
        self._mentions: set[asyncio.Task[None]] = set()
        self._readers = 0
        self._looking: asyncio.Task[None] | None = None

    @staticmethod
    async def of(bus: Bus) -> StreamPort:
        """The port of `bus`, opened with the second connection on its first use."""
        client = await bus.bulk()
        port = _ports.get(bus)
        if port is None:
            port = _ports[bus] = StreamPort(client)
        async with port._opening:
            if not port._opened:
                await client.subscribe(f"{port._inbox}.>", future=sink(port._on_message))
                await client.flush()
                port._opened = True
        return port

    @property
    def client(self) -> BusClient:
        """The second connection.

        Raises:
            NotConnected: It was closed and forgotten.
        """
        client = self._client()
        if client is None:
            raise NotConnected("the connection for streams was closed")
        return client

    @property
    def idle(self) -> bool:
        """Whether no stream ends here."""
        return not self._ends

    def outgoing(self, name: str = "") -> OutgoingStream:
        """The end of a stream that is written here.

        Args:
            name: The last token of its subject; a new id without.
        """
        return OutgoingStream(self, name or new_id())

    @contextmanager
    def replies(self, name: str, take: Callable[[Msg], None]) -> Iterator[None]:
        """Has `take` given what arrives on the subject of a stream and is not of it: the reply of a call."""
        self._replies[name] = take
        try:
            yield
        finally:
            del self._replies[name]

    def incoming(self, client: BusClient, subject: str) -> IncomingStream:
        """The end of a stream that is read here.

        Args:
            client: The connection that received its announcement.
            subject: The reply subject of that.
        """
        return IncomingStream(self, new_id(), client, subject)

    def window(self) -> int:
        """What one reader may permit ahead now, bytes."""
        share = streams.WINDOWS_BYTES // max(1, self._readers)
        return max(streams.WINDOW_BYTES_MIN, min(streams.WINDOW_BYTES_MAX, share))

    # --- what the ends call --------------------------------------------------------------------------------

    def register(self, name: str, end: End) -> str:
        """Takes in an end; returns its subject."""
        self._ends[name] = end
        self._readers += isinstance(end, IncomingStream)
        return f"{self._inbox}.{name}"

    def forget(self, name: str) -> None:
        """The end is over. Forgetting twice is fine."""
        end = self._ends.pop(name, None)
        self._readers -= isinstance(end, IncomingStream)

    def leave_word(self, name: str, error: LathError) -> None:
        """The end failed before the other one had asked for anything: that is told this when it does."""
        self._words[name] = error
        if len(self._words) > _WORDS_MAX:
            del self._words[next(iter(self._words))]

    def watch(self) -> None:
        """Looks after the streams, until there is none. Call it when one begins."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="lath-streams")

    def mention(
        self, client: BusClient, subject: str, data: bytes, reply: str, headers: Mapping[str, str]
    ) -> None:
        """Sends a message without waiting; behind others, where much waits to be written."""
        if client.post(subject, data, reply, headers) or len(self._mentions) >= _MENTIONS_MAX:
            return
        task = asyncio.get_running_loop().create_task(_publish(client, subject, data, reply, headers))
        self._mentions.add(task)
        task.add_done_callback(self._mentions.discard)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._ends:
                await asyncio.sleep(LOOK_EVERY_S)
                now = loop.time()
                for end in list(self._ends.values()):
                    end.look(now)
        finally:
            self._looking = None

    # --- messages, in the read loop: nothing here may raise ------------------------------------------------

    def _on_message(self, msg: Msg) -> None:
        try:
            self._take(msg)
        except LathError as e:
            self._answer(msg, "error", body_of(e), headers_of(e))
        except Exception:
            _log.exception("could not take a message of a stream", subject=msg.subject[:200])

    def _take(self, msg: Msg) -> None:
        name = msg.subject[len(self._inbox) + 1 :].partition(".")[0]
        end = self._ends.get(name)
        headers = msg.headers or {}
        text = headers.get(HEADER_STREAM)
        if text is None or text == streams.OPEN:
            take = self._replies.get(name)
            if end is not None and end.begun and _STATUS in headers:
                end.unheard()
            elif take is not None:
                take(msg)
            elif HEADER_ASK in headers and may_answer(msg.reply):
                self.mention(self.client, msg.reply, b"", "", {})  # nobody waits for that call
            return
        verb, _, digits = text.partition(",")
        if verb not in _VERBS or not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
            raise InvalidArgument(f"header {HEADER_STREAM} {shown(text)} is not of the form verb,bytes")
        if end is not None:
            end.take(verb, int(digits), msg)
        elif verb not in _FINAL:
            word = self._words.pop(name, None)
            if word is not None:
                raise word
            self._answer(msg, "gone", b"", {})

    def _answer(self, msg: Msg, verb: str, data: bytes, headers: dict[str, str]) -> None:
        if may_answer(msg.reply):
            told = {HEADER_STREAM: f"{verb},0", **headers}
            self.mention(self.client, msg.reply, data, "", told)


async def _publish(
    client: BusClient, subject: str, data: bytes, reply: str, headers: Mapping[str, str]
) -> None:
    with suppress(nats_errors.Error):  # the connection is gone, and with it the stream
        await client.publish(subject, data, reply, dict(headers) or None)
