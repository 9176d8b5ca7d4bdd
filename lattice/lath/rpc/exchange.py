"""Calls whose parameters, and whose results, may each go on as a stream of bytes.

The message of the call, and that of its reply, hold what is there at once; a stream follows where there is
more. Nothing is asked of the parameters' stream before the callee reads it, so a call that nobody has begun
to serve may be made again elsewhere.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nats.aio.msg import Msg

from lath import telemetry
from lath.errors import ConnectionLost, DeadlineExceeded, Internal, PayloadTooLarge
from lath.rpc.bulk import INLINE_BYTES_MAX
from lath.rpc.call import Following
from lath.rpc.caller import Caller
from lath.rpc.failure import having_answered
from lath.rpc.pending import Pending
from lath.rpc.replies import may_answer
from lath.rpc.sending import check, is_nobody
from lath.rpc.stream_port import StreamPort
from lath.rpc.streams import OPEN, IncomingStream, OutgoingStream
from lath.subjects import HEADER_STREAM

if TYPE_CHECKING:
    from lath.bus import Bus
    from lath.bus.client import BusClient

_log: Final = telemetry.get_logger("lath.rpc")


class Answer:
    """A reply, and what still goes on. Close it once nothing more is wanted.

    Attributes:
        payload: What came with the reply's message.
        stream: What follows it; None: that was all.
    """

    def __init__(self, payload: bytes, stream: IncomingStream | None, upload: _Upload | None) -> None:
        self.payload = payload
        self.stream = stream
        self._upload = upload

    async def close(self) -> None:
        """Ends what still goes on, both ways. Closing twice is fine."""
        if self.stream is not None:
            await self.stream.aclose()
        if self._upload is not None:
            await self._upload.close()


class Exchanges:
    """Makes such calls.

    Args:
        bus: The connection.
        caller: Makes the calls.
    """

    def __init__(self, bus: Bus, caller: Caller) -> None:
        self._bus = bus
        self._caller = caller

    async def call(
        self, target: str, tail: str, payload: bytes, body: Following | None = None, **routing: Any
    ) -> Answer:
        """Calls a function of `target`.

        Args:
            target: Component or provider.
            tail: The rest of the subject, as for `Caller.call`.
            payload: What the message holds, 512 KiB at most.
            body: What follows it. Closed when nothing more of it is wanted, or when there is no answer.
            routing: The rest of what `Caller.carry` takes.

        Raises:
            PayloadTooLarge: The message.
            LathError: As for `Caller.call`. Nothing goes on then.
        """
        if body is None:
            send = partial(self._send, _checked(target, payload))
            return await self._caller.carry(target, tail, send, **routing)
        streams: list[OutgoingStream] = []
        try:
            return await self._caller.carry(
                target, tail, partial(self._send_on, _checked(target, payload), body, streams),
                repeatable=lambda: not any(stream.touched for stream in streams), **routing,
            )  # fmt: skip
        except BaseException:
            await body.chunks.aclose()
            raise

    async def _send(
        self, payload: bytes, pending: Pending, headers: dict[str, str], deadline: float, linked: bool
    ) -> Answer:
        replies, nc = self._caller.replies, self._bus.nc
        await replies.listen()
        reply = replies.subject(pending.call_id)
        if not nc.post(pending.subject, payload, reply, headers):
            await nc.publish(pending.subject, payload, reply, headers)
        return await self._answer(pending, await pending.future, nc, deadline, linked, None)

    async def _send_on(
        self,
        payload: bytes,
        body: Following,
        streams: list[OutgoingStream],
        pending: Pending,
        headers: dict[str, str],
        deadline: float,
        linked: bool,
    ) -> Answer:
        """The reply then comes in where the pulls do: at the stream's subject."""
        try:
            async with asyncio.timeout_at(deadline):
                port = await StreamPort.of(self._bus)
        except TimeoutError:
            raise DeadlineExceeded("the connection for streams could not be made in time") from None
        stream = port.outgoing(pending.call_id)
        streams.append(stream)
        if body.lasts:
            pending.lasts = lambda: stream.touched

        def take(msg: Msg) -> None:
            if not (stream.touched and is_nobody(msg)):  # then it is about a message of the stream
                self._caller.replies.take(msg)

        upload = _Upload(stream, body, pending)
        try:
            with port.replies(pending.call_id, take):
                await port.client.publish(
                    pending.subject, payload, stream.subject, {**headers, HEADER_STREAM: OPEN}
                )
                msg = await pending.future
            return await self._answer(pending, msg, port.client, deadline, linked, upload)
        except BaseException:
            await upload.stop()
            raise

    async def _answer(
        self,
        pending: Pending,
        msg: Msg,
        client: BusClient,
        deadline: float,
        linked: bool,
        upload: _Upload | None,
    ) -> Answer:
        headers = msg.headers
        if not headers:
            return Answer(msg.data, None, upload)
        check(pending, msg, linked)
        if headers.get(HEADER_STREAM) != OPEN:
            return Answer(msg.data, None, upload)
        target = pending.route.target
        if not may_answer(msg.reply):
            raise Internal(f"the answer of {target} names no inbox to pull from")
        with having_answered(target, "its stream could not be read in time"):
            async with asyncio.timeout_at(deadline):
                port = await StreamPort.of(self._bus)
        stream = port.incoming(client, msg.reply)
        try:
            await stream.start()
        except BaseException:
            await stream.aclose()
            raise
        return Answer(msg.data, stream, upload)


def _checked(target: str, payload: bytes) -> bytes:
    if len(payload) > INLINE_BYTES_MAX:
        raise PayloadTooLarge(
            f"the message to {target} of {len(payload)} bytes is above {INLINE_BYTES_MAX}: the rest of it "
            "is to follow as a stream"
        )
    return payload


class _Upload:
    """The stream of a call's parameters, on its way."""

    def __init__(self, stream: OutgoingStream, body: Following, pending: Pending) -> None:
        self._stream = stream
        self._body = body
        self._pending = pending
        self._task = asyncio.create_task(self._run(), name="lath-upload")

    async def _run(self) -> None:
        try:
            await self._stream.send(self._body.chunks, self._body.after)
        except Exception as e:  # told to the callee, who says what comes of it
            _log.debug("what a call went on with broke off", reason=repr(e))
            if isinstance(e, ConnectionLost) and e is self._stream.error:
                self._pending.fail(e)

    async def stop(self) -> None:
        """Sends no more of it."""
        self._task.cancel()
        self._stream.leave()  # which a task that is cancelled before its first step does not
        await asyncio.wait([self._task])

    async def close(self) -> None:
        """Wants no more of it either."""
        try:
            await self.stop()
        finally:
            await self._body.chunks.aclose()
