"""The way of a call's parameters in and of its results out, where these are more than one message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nats import errors as nats_errors
from nats.aio.msg import Msg

from lath import telemetry
from lath.errors import ConnectionLost, LathError, LimitExceeded, NotConnected, Unavailable
from lath.rpc.bulk import PAYLOAD_BYTES_MAX, BulkPort, TransferFailed, announced_size
from lath.rpc.call import Streamed
from lath.rpc.failure import body_of, headers_of
from lath.rpc.running import Running
from lath.rpc.stream_port import StreamPort
from lath.rpc.streams import OPEN, IncomingStream
from lath.subjects import HEADER_BULK, HEADER_STREAM

if TYPE_CHECKING:
    from lath.bus import Bus

_log = telemetry.get_logger("lath.rpc")


class Answering:
    """Reads what calls bring, and answers them.

    Args:
        bus: The connection that they come by.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def payload(self, msg: Msg) -> bytes:
        """Pulls the large payload of a call.

        Raises:
            InvalidArgument: It announces none.
            Unavailable: It does not come.
        """
        size = announced_size((msg.headers or {})[HEADER_BULK])
        try:
            port = await BulkPort.of(self._bus)
            return await port.pull(self._bus.nc, msg.reply, size)
        except (NotConnected, TransferFailed) as e:
            raise Unavailable(f"the payload of the call could not be pulled: {e}") from e

    async def stream(self, msg: Msg) -> IncomingStream:
        """What follows a call. Close it.

        Raises:
            Unavailable: It cannot be read.
        """
        try:
            return (await StreamPort.of(self._bus)).incoming(self._bus.nc, msg.reply)
        except NotConnected as e:
            raise Unavailable(f"what follows the call cannot be read: {e.message}") from e

    async def large(self, msg: Msg, result: bytes) -> None:
        """Answers with a result that is too large for a message.

        Raises:
            LimitExceeded: It is too large for anything.
            ConnectionLost: It cannot be sent.
        """
        if len(result) > PAYLOAD_BYTES_MAX:
            raise LimitExceeded(f"the result of {len(result)} bytes is above {PAYLOAD_BYTES_MAX}")
        try:
            port = await BulkPort.of(self._bus)
        except NotConnected as e:  # the call has run
            raise ConnectionLost(f"the result could not be sent: {e.message}") from e
        with port.offer(result) as offer:
            headers = {HEADER_BULK: str(len(result))}
            await self.publish(msg.reply, b"", headers, reply=offer.subject)
            try:
                await offer.wait_pulled()
            except TransferFailed as e:
                # Its caller has gone, and there is nobody to tell.
                _log.info("a large result was not fetched", subject=msg.subject, reason=str(e))

    async def streamed(self, call: Running, result: Streamed) -> None:
        """Answers, and sends what follows. From the answer on the stream says what goes wrong.

        Raises:
            ConnectionLost: It cannot be sent, or its reader is gone.
            CallCancelled: Its reader wants no more.
            Exception: As the body raised it.
        """
        body = result.body
        try:
            stream = (await StreamPort.of(self._bus)).outgoing()
            with stream:
                call.answered = True
                reply = call.msg.reply
                await self.publish(reply, result.payload, {HEADER_STREAM: OPEN}, reply=stream.subject)
                stream.announced()
                await stream.send(body.chunks, body.after)
        except NotConnected as e:  # the call has run
            raise ConnectionLost(f"the result could not be sent: {e.message}") from e
        finally:
            await body.chunks.aclose()

    async def fail(self, call: Running, error: LathError) -> None:
        """Says that a call has failed, where it has no answer yet."""
        if not call.answered:
            await self.publish(call.msg.reply, body_of(error), headers_of(error))

    async def publish(self, to: str, data: bytes, headers: dict[str, str] | None, reply: str = "") -> None:
        """Answers, now or never: a late answer has nobody waiting for it."""
        try:
            await self._bus.nc.publish(to, data, reply, headers)
        except nats_errors.Error as e:
            _log.warning("could not answer a call", error=repr(e))
