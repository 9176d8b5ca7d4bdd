"""nats-py's client, with what would break a lattice put right.

Each override says what nats-py 2.16 does instead. Everything else is nats-py's own.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from nats import errors as nats_errors
from nats.aio.client import Client, Server, Srv
from nats.aio.msg import Msg

from lath.bus.frames import MessageParser, publish_frame
from lath.telemetry import get_logger

_log = get_logger("lath.bus")

RECONNECT_WAIT_MIN_S: Final = 0.1
RECONNECT_WAIT_MAX_S: Final = 2.0
_BACKOFF_DOUBLINGS_MAX: Final = 6
_SPACE: Final = re.compile(r"[ \t\r\n]")
"""What a subject must not contain: it could end the line and begin another command."""
_PING: Final = b"PING\r\n"
_PERMISSIONS: Final = "permissions violation"
_AUTHORIZATION: Final = "authorization violation"


def reconnect_delay_s(attempts: int) -> float:
    """How long to wait before the next attempt: from 100 ms growing to 2 s.

    With jitter, so that the clients of a restarted server do not all come at once.
    """
    base = min(RECONNECT_WAIT_MAX_S, RECONNECT_WAIT_MIN_S * 2.0 ** min(attempts, _BACKOFF_DOUBLINGS_MAX))
    return base * random.uniform(0.5, 1.0)


def choose_server(servers: list[Server], _info: dict[str, Any]) -> tuple[Server | None, float]:
    """Picks the server that failed least, and how long to wait for it (nats-py's wait is a constant)."""
    if not servers:
        return None, RECONNECT_WAIT_MAX_S
    server = min(servers, key=lambda candidate: candidate.reconnects)
    return server, reconnect_delay_s(server.reconnects)


class BusClient(Client):
    """See the module.

    Attributes:
        on_denied: Called with ("publish" or "subscription", subject) for what permissions forbid.
        on_refused: Called with the server's reason when it refuses the credentials.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ps = MessageParser(self)
        self.on_denied: Callable[[str, str], None] | None = None
        self.on_refused: Callable[[str], None] | None = None

    def drop_pending(self) -> None:
        """Forgets what was not yet written. nats-py would send it after the reconnect, and it would run.

        Subscriptions do not suffer: they are sent again from the client's own list.
        """
        self._pending = []
        self._pending_data_size = 0
        while self._flush_queue is not None and not self._flush_queue.empty():
            waiter = self._flush_queue.get_nowait()
            if not waiter.done():
                waiter.set_result(None)

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """nats-py buffers while it is disconnected, and sends later. Here: an error, at once."""
        if self.post(subject, payload, reply, headers):
            return
        if not self.is_connected:
            raise nats_errors.ConnectionReconnectingError
        await super().publish(subject, payload, reply, headers)

    def post(
        self, subject: str, payload: bytes, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> bool:
        """Publishes a message of a call without waiting; what fails or has to wait is left to `publish`.

        Returns:
            Whether it was published. Where it was not, `publish` does it or tells why it cannot.
        """
        queue, flusher = self._flush_queue, self._flusher_task
        if self._status != Client.CONNECTED or queue is None or flusher is None or flusher.done():
            return False
        if not subject or len(payload) > self._max_payload or _SPACE.search(subject) or _SPACE.search(reply):
            return False
        frame = publish_frame(subject, payload, reply, headers)
        if frame is None or self._pending_data_size + len(frame) > self._max_pending_size:
            return False
        self._pending.append(frame)
        self._pending_data_size += len(frame)
        stats = self.stats
        stats["out_msgs"] += 1
        stats["out_bytes"] += len(payload)
        if queue.empty():
            queue.put_nowait(asyncio.get_running_loop().create_future())
        return True

    async def written(self) -> None:
        """Waits until what was published so far has gone to the socket; at once where there is none."""
        await self._flush_pending(force_flush=True)

    async def _process_err(self, err_msg: str) -> None:
        """nats-py lower-cases the message and, for most errors, closes for good. Here: reconnect."""
        if _PERMISSIONS in err_msg:
            await self._permission_error(err_msg)
            return
        if _AUTHORIZATION in err_msg and self.on_refused is not None:
            self.on_refused(err_msg.strip("'"))
        error = nats_errors.Error(f"nats: {err_msg}")
        self._err = error
        await self._error_cb(error)
        await self._process_op_err(error)

    async def _permission_error(self, lowered: str) -> None:
        # The parser calls before it drops the line, so the subject can be read as it was written.
        line = bytes(self._ps.buf).partition(b"\r\n")[0].decode(errors="replace")
        text = line if _PERMISSIONS in line.lower() else lowered
        what = "subscription" if "for subscription to" in text.lower() else "publish"
        subject = text.partition('"')[2].partition('"')[0]
        if self.on_denied is not None:
            self.on_denied(what, subject)
        await self._error_cb(nats_errors.Error(f"nats: {text}"))

    async def _process_connect_init(self) -> None:
        try:
            await super()._process_connect_init()
        except nats_errors.Error as e:
            if _AUTHORIZATION in str(e).lower() and self.on_refused is not None:
                self.on_refused(str(e))
            raise

    async def _connect_to_server(self, s: Srv) -> None:
        """nats-py forgets the transport of an attempt that failed half way without closing it."""
        if self._transport:
            self._transport.close()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """nats-py writes a ping past what waits to be written. Here it stands in line.

        Else a flush could return before the server had heard of the subscriptions made before it, and what
        was sent to those was lost.
        """
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(_PING)
        await self._flush_pending()

    async def _process_pong(self) -> None:
        """nats-py sets the result of a cancelled flush too, which ends its read loop."""
        if self._pongs and self._pongs[0].done():
            self._pongs.pop(0)  # the server answers every ping in order; this one's waiter is gone
            self._pings_outstanding = 0
            return
        await super()._process_pong()

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """nats-py's read loop ends on headers that it cannot parse; a sender must not be able to do that."""
        try:
            parsed: dict[str, str] | None = await super()._process_headers(headers)
        except (IndexError, ValueError):
            _log.warning("ignored malformed message headers")
            return None
        return parsed

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg | None:
        """nats-py's read loop ends on a subject that is not UTF-8; such a message is dropped here."""
        try:
            message: Msg = super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            _log.warning("dropped a message whose subject is not UTF-8")
            return None
        return message

    async def _read_loop(self) -> None:
        """nats-py's loop also ends on an unexpected error; the connection then hangs until pings time out."""
        await super()._read_loop()
        if self.is_connected and asyncio.current_task() is self._reading_task:
            await self._process_op_err(nats_errors.Error("nats: the read loop ended"))

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        """nats-py swallows a cancellation that arrives here."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.is_connected or self._flush_queue is None:
            done.set_result(None)
            return done
        if self._flusher_task is None or self._flusher_task.done():
            return await super()._flush_pending(force_flush)
        await self._flush_queue.put(done)
        if force_flush:
            await asyncio.shield(done)
        return done
