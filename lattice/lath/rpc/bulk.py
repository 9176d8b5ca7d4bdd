"""Payloads above 512 KiB: announced, then pulled in chunks, over the second connection.

Whoever has a large payload *offers* it on an inbox of its bulk connection and says so in the first message.
The other side *pulls*: each pull asks for one range and names an inbox of the puller's bulk connection. A
pull is published on the connection that received the announcement, and a chunk on the one that received the
pull, because there the server's `allow_responses` lets them: no further permission is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from lath.bus.sink import sink
from lath.errors import CallCancelled, InvalidArgument, LathError, NotConnected
from lath.names import new_id, shown
from lath.rpc.budget import ByteBudget
from lath.rpc.failure import body_of, error_of, headers_of
from lath.rpc.replies import may_answer
from lath.subjects import HEADER_BULK

if TYPE_CHECKING:
    from lath.bus import Bus

INLINE_BYTES_MAX: Final = 512 * 1024
"""Above this a payload is pulled. Half of the NATS server's own default limit, so headers fit too."""
PAYLOAD_BYTES_MAX: Final = 64 * 1024 * 1024
CHUNK_BYTES: Final = 256 * 1024
WINDOW_CHUNKS: Final = 4
"""Chunks asked for ahead, per payload."""
IN_FLIGHT_BYTES_MAX: Final = 8 * 1024 * 1024
"""Asked for and not yet here, per connection: the server cuts a connection off at 64 MiB pending."""
ASSEMBLING_BYTES_MAX: Final = 128 * 1024 * 1024
"""Payloads being received at once, per process. The rest wait, and their deadlines go on."""
STALL_S: Final = 5.0
"""Without a chunk, or a pull, for this long the other side is taken to be gone."""

_assembling: Final = ByteBudget(ASSEMBLING_BYTES_MAX)
_ports: Final[weakref.WeakKeyDictionary[Bus, BulkPort]] = weakref.WeakKeyDictionary()


class TransferFailed(Exception):
    """The other side stopped sending; the message says how far it came."""


class Offer:
    """A payload that the other side may pull, until the `with` block ends."""

    __slots__ = ("_payload", "_pulled", "_served", "on_reply", "progress", "subject")

    def __init__(self, subject: str, payload: bytes, on_reply: Callable[[Msg], None] | None) -> None:
        self.subject = subject
        self.on_reply = on_reply
        self.progress = asyncio.Event()
        self._payload = payload
        self._served: set[int] = set()
        self._pulled = 0

    @property
    def pulled(self) -> bool:
        """Whether every byte was sent."""
        return self._pulled >= len(self._payload)

    def chunk(self, text: str) -> bytes:
        """The bytes that a pull asks for.

        Raises:
            InvalidArgument: The range is not one of this payload.
        """
        offset_text, _, length_text = text.partition(",")
        if not (offset_text.isdigit() and length_text.isdigit() and len(text) <= 24):
            raise InvalidArgument(f"pull {shown(text)} is not of the form offset,length")
        offset, length = int(offset_text), int(length_text)
        if not 0 < length <= CHUNK_BYTES or offset + length > len(self._payload):
            raise InvalidArgument(f"pull {shown(text)} is not a range of {len(self._payload)} bytes")
        if offset not in self._served:
            self._served.add(offset)
            self._pulled += length
        return self._payload[offset : offset + length]

    async def wait_pulled(self) -> None:
        """Returns once every byte was sent.

        Raises:
            TransferFailed: The puller stopped asking.
        """
        while not self.pulled:
            self.progress.clear()
            try:
                async with asyncio.timeout(STALL_S):
                    await self.progress.wait()
            except TimeoutError:
                size = len(self._payload)
                raise TransferFailed(
                    f"{self._pulled} of {size} bytes were pulled, then nothing for {STALL_S:g} s"
                ) from None


class _Incoming:
    """A payload on its way in."""

    __slots__ = ("budget", "data", "error", "expected", "progress", "received")

    def __init__(self, budget: ByteBudget) -> None:
        self.budget = budget
        self.data = io.BytesIO()
        self.expected: dict[int, int] = {}
        self.received = 0
        self.progress = asyncio.Event()
        self.error: LathError | None = None

    def take(self, offset: int, msg: Msg) -> None:
        length = self.expected.pop(offset, None)
        if length is None:
            return
        self.budget.release(length)
        self.error = self.error or error_of(msg)
        if self.error is None and len(msg.data) != length:
            self.error = InvalidArgument(f"a chunk of {length} bytes came with {len(msg.data)}")
        if self.error is None:
            self.data.seek(offset)
            self.data.write(msg.data)
            self.received += length
        self.progress.set()

    def abandon(self) -> None:
        for length in self.expected.values():
            self.budget.release(length)
        self.expected.clear()


class BulkPort:
    """Large payloads of one bus, both ways. Shared by all callers and servers on it."""

    def __init__(self, client: Client) -> None:
        # The registry is keyed weakly by the bus, which the client leads back to.
        self._client = weakref.ref(client)
        self.in_flight = ByteBudget(IN_FLIGHT_BYTES_MAX)
        self._inbox: str = client.new_inbox()
        self._opening = asyncio.Lock()
        self._opened = False
        self._offers: dict[str, Offer] = {}
        self._incoming: dict[str, _Incoming] = {}

    @staticmethod
    async def of(bus: Bus) -> BulkPort:
        """The port of `bus`, opened with the second connection on its first use."""
        client = await bus.bulk()
        port = _ports.get(bus)
        if port is None:
            port = _ports[bus] = BulkPort(client)
        async with port._opening:
            if not port._opened:
                await port._open()
                port._opened = True
        return port

    @property
    def client(self) -> Client:
        """The second connection.

        Raises:
            NotConnected: It was closed and forgotten.
        """
        client = self._client()
        if client is None:
            raise NotConnected("the connection for large payloads was closed")
        return client

    async def _open(self) -> None:
        # Pulls go through nats-py's queue: one is answered after the other, so a slow connection holds
        # back at most one chunk. Chunks need no waiting and are taken at once.
        await self.client.subscribe(f"{self._inbox}.o.*", cb=self._on_offer_message)
        await self.client.subscribe(f"{self._inbox}.c.*.*", future=sink(self._on_chunk))
        await self.client.flush()

    @property
    def idle(self) -> bool:
        """Whether nothing is offered, awaited or held."""
        return not self._offers and not self._incoming and not self.in_flight.used_bytes

    def offer(
        self, payload: bytes, *, name: str = "", on_reply: Callable[[Msg], None] | None = None
    ) -> _Offering:
        """Lets the other side pull `payload`, inside a `with` block.

        Args:
            payload: What is offered.
            name: The last token of the offer's subject; a new id without.
            on_reply: Is given what arrives on that subject and is no pull.
        """
        token = name or new_id()
        return _Offering(self._offers, token, Offer(f"{self._inbox}.o.{token}", payload, on_reply))

    async def _on_offer_message(self, msg: Msg) -> None:
        offer = self._offers.get(msg.subject.rpartition(".")[2])
        text = msg.headers.get(HEADER_BULK, "") if msg.headers else ""
        if "," not in text:
            if offer is not None and offer.on_reply is not None:
                offer.on_reply(msg)
            return
        if not may_answer(msg.reply):
            return
        try:
            if offer is None:
                raise CallCancelled("the payload is no longer offered: its sender gave up")
            chunk = offer.chunk(text)
        except LathError as e:
            await self.client.publish(msg.reply, body_of(e), headers=headers_of(e))
            return
        await self.client.publish(msg.reply, chunk)
        offer.progress.set()

    def _on_chunk(self, msg: Msg) -> None:
        transfer, _, offset = msg.subject[len(self._inbox) + 3 :].partition(".")
        incoming = self._incoming.get(transfer)
        if incoming is not None and offset.isdigit() and len(offset) <= 12:
            incoming.take(int(offset), msg)

    async def pull(self, client: Client, subject: str, size_bytes: int) -> bytes:
        """Fetches an offered payload.

        Args:
            client: The connection that received the announcement.
            subject: Its reply subject, where pulls go.
            size_bytes: What it announced; the caller has compared it with the limit.

        Raises:
            TransferFailed: No chunk came for a while.
            LathError: The other side said why there is none.
        """
        async with _assembling.reserved(size_bytes):
            transfer = new_id()
            incoming = self._incoming[transfer] = _Incoming(self.in_flight)
            try:
                await self._pull_all(client, subject, transfer, incoming, size_bytes)
                return incoming.data.getvalue()
            finally:
                del self._incoming[transfer]
                incoming.abandon()

    async def _pull_all(
        self, client: Client, subject: str, transfer: str, incoming: _Incoming, size: int
    ) -> None:
        asked = 0
        while incoming.received < size:
            incoming.progress.clear()
            while asked < size and len(incoming.expected) < WINDOW_CHUNKS:
                length = min(CHUNK_BYTES, size - asked)
                await self.in_flight.acquire(length)
                incoming.expected[asked] = length
                inbox = f"{self._inbox}.c.{transfer}.{asked}"
                await client.publish(subject, reply=inbox, headers={HEADER_BULK: f"{asked},{length}"})
                asked += length
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALL_S):
                    await incoming.progress.wait()
            if incoming.error is not None:
                raise incoming.error
            if not incoming.progress.is_set():
                raise TransferFailed(
                    f"{incoming.received} of {size} bytes came, then nothing for {STALL_S:g} s"
                )


class _Offering:
    """Registers an offer for as long as the block runs."""

    __slots__ = ("_offer", "_offers", "_token")

    def __init__(self, offers: dict[str, Offer], token: str, offer: Offer) -> None:
        self._offers, self._token, self._offer = offers, token, offer

    def __enter__(self) -> Offer:
        self._offers[self._token] = self._offer
        return self._offer

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._offers.pop(self._token, None)


def announced_size(text: str) -> int:
    """The size that a `Lath-Bulk` header announces.

    Raises:
        InvalidArgument: It is no number of bytes that may be sent.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise InvalidArgument(f"header {HEADER_BULK} {shown(text)} is not a size in bytes")
    size = int(text)
    if not 0 < size <= PAYLOAD_BYTES_MAX:
        raise InvalidArgument(f"a payload of {size} bytes is announced: 1 to {PAYLOAD_BYTES_MAX} may be")
    return size
