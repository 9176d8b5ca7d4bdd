"""The connection to the bus: fails at once when there is none, and comes back by itself."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Final, TypeAlias

from nats import errors as nats_errors
from nats.aio.msg import Msg

from lath.bus.callbacks import Callbacks, ended
from lath.bus.client import BusClient
from lath.bus.credentials import Credentials
from lath.bus.opening import open_client
from lath.bus.subscription import Handler, Subscription
from lath.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    LathError,
    NotConnected,
    PayloadTooLarge,
    PermissionDenied,
    Unavailable,
)
from lath.names import check_name
from lath.telemetry import get_logger

_log = get_logger("lath.bus")

CONCURRENCY_MAX: Final = 1024
_STATUS_HEADER: Final = "Status"
_NO_RESPONDERS: Final = "503"
_HEADER_BYTES_MAX: Final = 16 * 1024
"""Room for headers: only messages this close to the payload limit have their headers measured."""

ConnectionCallback: TypeAlias = Callable[[], Awaitable[None] | None]


class Bus:
    """A participant's connection to its lattice. Made by `connect`; an async context manager.

    Attributes:
        lattice: The lattice's name.
        url: What it was told to connect to, without passwords.
        nc: nats-py's client. Publishing through it is also refused while disconnected.
        dropped: Messages lost because a subscription had too many waiting.
    """

    def __init__(self, url: str, *, lattice: str, name: str, credentials: Credentials) -> None:
        self.lattice = check_name(lattice, "lattice")
        self.nc = BusClient()
        self.dropped = 0
        self.url = _without_passwords(url)
        self._servers = [part.strip() for part in url.split(",") if part.strip()]
        self._name = name
        self._credentials = credentials
        self._bulk: BusClient | None = None
        self._bulk_lock = asyncio.Lock()
        self._up = False
        self._up_since = 0.0
        self._closed = False
        self._last_error = ""
        self._subscriptions: dict[int, Subscription] = {}
        self._on_reconnect = Callbacks()
        self._on_disconnect = Callbacks()
        self._on_denied = Callbacks()
        self._pending: dict[str, tuple[str, asyncio.Future[Msg]]] = {}
        self._flushing: set[asyncio.Future[None]] = set()
        self._reply_prefix = ""
        self._numbers = itertools.count(1)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        lattice: str,
        name: str,
        credentials: Credentials | None = None,
        connect_timeout_ms: int = 5_000,
    ) -> Bus:
        """Connects. From then on it reconnects for as long as it is open.

        Args:
            url: `nats://host:port`, or several, separated by commas.
            lattice: The lattice's name.
            name: Shown in the server's monitoring.
            credentials: None: none.
            connect_timeout_ms: How long to try.

        Raises:
            NotConnected: No server could be reached in time.
            PermissionDenied: A server refused the credentials.
            InvalidArgument: The URL is malformed.
        """
        bus = cls(url, lattice=lattice, name=name, credentials=credentials or Credentials())
        await bus._open(bus.nc, name, connect_timeout_ms, bus._disconnected, bus._reconnected)
        bus._up = True
        bus._up_since = asyncio.get_running_loop().time()
        return bus

    @property
    def connected(self) -> bool:
        """Whether messages can be sent now."""
        return self._up and self.nc.is_connected

    @property
    def connected_for_ms(self) -> float:
        """Milliseconds since the last connect or reconnect; 0 while there is no connection."""
        return (asyncio.get_running_loop().time() - self._up_since) * 1000 if self.connected else 0.0

    @property
    def max_payload_bytes(self) -> int:
        """The server's limit for one message, headers included."""
        return int(self.nc.max_payload)

    @property
    def inbox_prefix(self) -> str:
        return self._credentials.inbox_prefix or "_INBOX"

    def on_reconnect(self, callback: ConnectionCallback) -> Callable[[], None]:
        """Has `callback` called after each reconnect; returns what undoes this."""
        return self._on_reconnect.add(callback)

    def on_disconnect(self, callback: ConnectionCallback) -> Callable[[], None]:
        """Has `callback` called whenever the connection is lost; returns what undoes this."""
        return self._on_disconnect.add(callback)

    def on_denied(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Has `callback` called with each subject that may not be published or subscribed to.

        Returns what undoes this. The server tells it out of band, a moment after the attempt.
        """
        return self._on_denied.add(callback)

    def new_inbox(self) -> str:
        """A subject for replies that nobody can guess."""
        return str(self.nc.new_inbox())

    async def bulk(self) -> BusClient:
        """A second connection with the same credentials, for large payloads; made on first use.

        Raises:
            NotConnected: It could not be made.
        """
        async with self._bulk_lock:
            if self._closed:
                raise NotConnected("the connection to the bus was closed")
            if self._bulk is None:
                client = BusClient()
                await self._open(client, f"{self._name}-bulk", 5_000, None, None)
                self._bulk = client
            return self._bulk

    async def publish(
        self, subject: str, data: bytes = b"", *, headers: Mapping[str, str] | None = None, reply: str = ""
    ) -> None:
        """Sends a message now or not at all.

        Raises:
            NotConnected: There is no connection; nothing was sent, and nothing will be.
            PayloadTooLarge: Above the server's limit.
            InvalidArgument: The subject or a header is malformed.
        """
        self._check(subject, data, headers)
        try:
            await self.nc.publish(subject, data, reply, dict(headers) if headers else None)
        except nats_errors.Error as e:
            raise self._mapped(e, subject, len(data)) from e

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout_ms: float,
    ) -> Msg:
        """Sends a request and returns the first reply.

        Raises:
            NotConnected: There is no connection; nothing was sent, and nothing will be.
            Unavailable: Nobody listens there.
            PermissionDenied: The bus forbids it.
            DeadlineExceeded: No reply in time.
            ConnectionLost: The connection broke meanwhile.
            PayloadTooLarge: Above the server's limit.
        """
        self._check(subject, data, headers)
        if not self._reply_prefix:
            await self._listen_for_replies()
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        reply = f"{self._reply_prefix}{next(self._numbers)}"
        self._pending[reply] = (subject, future)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self.nc.publish(subject, data, reply, dict(headers) if headers else None)
                msg = await future
        except TimeoutError:
            raise DeadlineExceeded(f"no reply from {subject} within {timeout_ms:g} ms") from None
        except nats_errors.Error as e:
            raise self._mapped(e, subject, len(data)) from e
        finally:
            del self._pending[reply]
        if msg.headers and not msg.data and msg.headers.get(_STATUS_HEADER) == _NO_RESPONDERS:
            raise Unavailable(f"nobody listens on {subject}")
        return msg

    async def subscribe(
        self, subject: str, handler: Handler, *, queue: str = "", concurrency_max: int = CONCURRENCY_MAX
    ) -> Subscription:
        """Has `handler` called for each message, in a task of its own.

        Messages whose reply says that a consumer sent them (`$JS.ACK`) are refused. Errors of the handler
        are logged. While disconnected it takes effect with the reconnect.

        Args:
            subject: Wildcards allowed.
            handler: An async callable of one message.
            queue: Queue group; empty: none.
            concurrency_max: Handlers that may run at once; beyond, messages wait.

        Raises:
            NotConnected: The bus was closed.
            InvalidArgument: The subject is malformed.
        """
        subscription = Subscription(subject, queue, handler, concurrency_max)
        try:
            number = await subscription.attach(self.nc, self._forget)
        except nats_errors.Error as e:
            raise self._mapped(e, subject, 0) from e
        self._subscriptions[number] = subscription
        return subscription

    async def flush(self, timeout_ms: float = 10_000) -> None:
        """Waits until the server has processed everything sent so far.

        Raises:
            NotConnected: There is no connection.
            ConnectionLost: It broke meanwhile.
            DeadlineExceeded: The server did not answer in time.
        """
        if not self.connected:
            raise NotConnected(self._not_connected())
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushing.add(lost)
        flush = asyncio.ensure_future(
            self.nc.flush(timeout=timeout_ms / 1000)  # type: ignore[arg-type]  # a float will do
        )
        try:
            await asyncio.wait({lost, flush}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise ConnectionLost("the connection to the bus broke")
            flush.result()
        except nats_errors.TimeoutError:
            raise DeadlineExceeded(f"the server did not answer within {timeout_ms:g} ms") from None
        except nats_errors.Error as e:
            raise self._mapped(e, "", 0) from e
        finally:
            self._flushing.discard(lost)
            await ended(flush)

    async def close(self) -> None:
        """Closes the connection, ends all handlers and fails what waits. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._up = False
        self._fail_pending(NotConnected("the connection to the bus was closed"))
        subscriptions = list(self._subscriptions.values())
        for subscription in subscriptions:
            await subscription.cancel_handlers()
        for callbacks in (self._on_disconnect, self._on_reconnect, self._on_denied):
            await callbacks.close()
        if self._bulk is not None:
            await self._bulk.close()
        if not self.nc.is_connected:
            self.nc.drop_pending()  # else the client writes what waits to the broken connection, and raises
        await self.nc.close()
        for subscription in subscriptions:
            await subscription.cancel_handlers()  # those that started while the others ended
        self._subscriptions.clear()

    async def __aenter__(self) -> Bus:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- inside ---------------------------------------------------------------------------------------

    async def _open(
        self,
        client: BusClient,
        name: str,
        timeout_ms: int,
        on_disconnect: Callable[[], Awaitable[None]] | None,
        on_reconnect: Callable[[], Awaitable[None]] | None,
    ) -> None:
        async def disconnected() -> None:
            client.drop_pending()
            if on_disconnect is not None:
                await on_disconnect()

        client.on_denied = self._denied
        await open_client(
            client,
            self.url,
            timeout_ms=timeout_ms,
            why=lambda: self._last_error,
            servers=self._servers,
            name=name,
            error_cb=self._error,
            disconnected_cb=disconnected,
            reconnected_cb=on_reconnect,
            **self._credentials.options(),
        )

    async def _listen_for_replies(self) -> None:
        prefix = self.new_inbox() + "."
        self._reply_prefix = prefix  # before the first await: the client keeps the order of what is sent
        try:
            await self.nc.subscribe(prefix + "*", cb=self._reply)
        except nats_errors.Error as e:
            self._reply_prefix = ""
            raise self._mapped(e, prefix, 0) from e

    async def _reply(self, msg: Msg) -> None:
        pending = self._pending.get(msg.subject)
        if pending is not None and not pending[1].done():
            pending[1].set_result(msg)

    def _check(self, subject: str, data: bytes, headers: Mapping[str, str] | None) -> None:
        if not self.connected:
            raise NotConnected(self._not_connected())
        size = len(data)
        limit = self.nc.max_payload
        if size + _HEADER_BYTES_MAX > limit or headers:
            total = (
                size + sum(len(k) + len(v) + 4 for k, v in (headers or {}).items()) + (12 if headers else 0)
            )
            if total > limit:
                raise PayloadTooLarge(f"{total} bytes to {subject} are above the server's limit of {limit}")

    def _not_connected(self) -> str:
        state = "was closed" if self._closed else "is lost, reconnecting"
        return f"the connection to {self.url} {state}; nothing was sent"

    def _mapped(self, error: nats_errors.Error, subject: str, size: int) -> LathError:
        if isinstance(error, nats_errors.MaxPayloadError):
            return PayloadTooLarge(f"{size} bytes to {subject} are above {self.nc.max_payload}")
        if isinstance(error, (nats_errors.BadSubjectError, nats_errors.BadHeaderError)):
            return InvalidArgument(f"subject {subject[:200]!r} or its headers are malformed: {error}")
        return NotConnected(self._not_connected())

    def _denied(self, what: str, subject: str) -> None:
        self._on_denied.call(subject)
        if what == "subscription":
            for subscription in self._subscriptions.values():
                if subscription.subject == subject:
                    subscription.denied = True
            _log.warning("not permitted to subscribe", subject=subject)
            return
        _log.warning("not permitted to publish", subject=subject)
        for asked, future in self._pending.values():
            if asked == subject and not future.done():
                future.set_exception(PermissionDenied(f"the bus does not permit publishing to {subject}"))

    def _fail_pending(self, error: LathError) -> None:
        for _, future in self._pending.values():
            if not future.done():
                future.set_exception(error)
        for waiting in self._flushing:
            if not waiting.done():
                waiting.set_result(None)

    async def _disconnected(self) -> None:
        if self._closed or not self._up:
            return
        self._up = False
        _log.warning("the connection to the bus is lost", url=self.url)
        self._fail_pending(ConnectionLost("the connection to the bus broke while the answer was awaited"))
        self._on_disconnect.call()

    async def _reconnected(self) -> None:
        if self._closed:
            return
        self._up = True
        self._up_since = asyncio.get_running_loop().time()
        _log.info("connected to the bus again", url=self.url)
        self._on_reconnect.call()

    async def _error(self, error: Exception) -> None:
        self._last_error = str(error) or type(error).__name__
        if isinstance(error, nats_errors.SlowConsumerError):
            self.dropped += 1
            subscription = self._subscriptions.get(error.sid)
            if subscription is not None:
                subscription.dropped += 1
            if self.dropped & (self.dropped - 1) == 0:  # at 1, 2, 4, 8, …: a flood must not flood the log
                _log.error("dropped messages: too many waited", subject=error.subject, dropped=self.dropped)
        else:
            _log.debug("the bus reports", error=self._last_error)

    def _forget(self, subscription: Subscription) -> None:
        for number, known in list(self._subscriptions.items()):
            if known is subscription:
                del self._subscriptions[number]


def _without_passwords(url: str) -> str:
    parts = []
    for part in url.split(","):
        scheme, separator, rest = part.strip().rpartition("://")
        parts.append(scheme + separator + rest.rpartition("@")[2])
    return ",".join(parts)
